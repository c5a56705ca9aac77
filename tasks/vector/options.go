package main

import (
	"errors"
	"fmt"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// options is the configuration as it is written. A member that is unknown, null or given twice is
// refused.
type options struct {
	Path           *string `json:"path"`
	Dimensions     *int    `json:"dimensions"`
	Metric         *string `json:"metric"`
	Element        *string `json:"element"`
	M              *int    `json:"m"`
	EfConstruction *int    `json:"ef_construction"`
	Ef             *int    `json:"ef"`
}

// configuration is the configuration as it is used.
type configuration struct {
	path           pointer.Pointer // nil: the whole input is the vector, as bytes
	dimensions     int
	metric         metric
	element        element
	m              int // links of a new vector in a layer of the graph
	efConstruction int // candidates among which a new vector chooses its links
	ef             int // candidates of a search
}

// metric is the kind of the distance between two vectors. A smaller distance is nearer.
type metric int

const (
	cosine metric = iota // 1 - a·b/(|a||b|)
	dot                  // -a·b
	l2                   // |a-b|
)

// element is the type of a vector's numbers.
type element int

const (
	float32Element element = iota
	int8Element
)

var (
	metrics  = map[string]metric{"cosine": cosine, "dot": dot, "l2": l2}
	elements = map[string]element{"float32": float32Element, "int8": int8Element}
)

// Limits and defaults of the configuration.
const (
	maxDimensions = 4096 // more than any model of embeddings in use

	minM, maxM, defaultM                                        = 4, 64, 24
	minEfConstruction, maxEfConstruction, defaultEfConstruction = 16, 1000, 128
	minEf, maxEf, defaultEf                                     = 10, 4096, 128
)

var errOptions = errors.New("the configuration does not make sense")

// configure reads a configuration.
func configure(c sdk.Config) (configuration, error) {
	var o options
	var conf configuration
	switch c.Type {
	case model.TypeAny, model.TypeBytes, model.TypeText:
	default:
		return conf, fmt.Errorf("%w: data type %d is not a vector", errOptions, c.Type)
	}
	if len(c.Options) > 0 {
		if err := ijson.Decode(c.Options, &o); err != nil {
			return conf, fmt.Errorf("%w: %w", errOptions, err)
		}
	}
	conf.dimensions = inRange(o.Dimensions, 0, 1, maxDimensions)
	conf.m = inRange(o.M, defaultM, minM, maxM)
	conf.efConstruction = inRange(o.EfConstruction, defaultEfConstruction, minEfConstruction, maxEfConstruction)
	conf.ef = inRange(o.Ef, defaultEf, minEf, maxEf)
	if conf.dimensions == 0 || conf.m == 0 || conf.efConstruction == 0 || conf.ef == 0 {
		return conf, fmt.Errorf("%w: a number is missing, or over its limit", errOptions)
	}
	known := true
	if o.Metric != nil {
		conf.metric, known = metrics[*o.Metric]
	}
	if o.Element != nil && known {
		conf.element, known = elements[*o.Element]
	}
	if !known {
		return conf, fmt.Errorf("%w: an unknown metric or element", errOptions)
	}
	if o.Path == nil {
		return conf, nil
	}
	var err error
	conf.path, err = pointer.Parse(*o.Path)
	return conf, err
}

// inRange returns a number that is configured, or else the default. It returns 0 if the number is not
// from low to high.
func inRange(n *int, otherwise, low, high int) int {
	switch {
	case n == nil:
		return otherwise
	case *n < low || *n > high:
		return 0
	}
	return *n
}

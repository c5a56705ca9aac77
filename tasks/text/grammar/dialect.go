package grammar

import (
	"encoding/json"

	"motte/sdk/pointer"
	"motte/tasks/text/analysis"
)

// DialectOf returns the dialect of an index by its configuration. A client may read the configuration if it
// is an administrator of the collection.
func DialectOf(configuration []byte) (d Dialect) {
	var o struct {
		Path     *string  `json:"path"`
		Fields   []string `json:"fields"`
		Language string   `json:"language"`
		Typos    bool     `json:"typos"`
	}
	if len(configuration) > 0 && json.Unmarshal(configuration, &o) != nil {
		return d // the Task has refused it
	}
	if o.Fields == nil {
		d.Fields, d.Paths = []string{SoleField}, []pointer.Pointer{nil}
	}
	if o.Path != nil {
		o.Fields, d.Fields, d.Paths = []string{*o.Path}, nil, nil
	}
	for _, s := range o.Fields {
		p, err := pointer.Parse(s)
		if err != nil {
			return Dialect{}
		}
		name := SoleField
		if o.Path == nil && len(p) > 0 {
			name = p[len(p)-1]
		}
		d.Fields, d.Paths = append(d.Fields, name), append(d.Paths, p)
	}
	d.Typos = o.Typos
	d.Language, _ = analysis.NewLanguage(o.Language)
	return d
}

// SoleField is the name of the field of an index with one field.
const SoleField = "text"

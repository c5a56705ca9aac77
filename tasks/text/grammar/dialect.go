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
		Fields   []string `json:"fields"`
		Language string   `json:"language"`
	}
	if len(configuration) > 0 && json.Unmarshal(configuration, &o) != nil {
		return d // the Task has refused it
	}
	d.Fields = []string{SoleField}
	if o.Fields != nil {
		d.Fields = nil
	}
	for _, s := range o.Fields {
		if p, err := pointer.Parse(s); err == nil && len(p) > 0 {
			d.Fields = append(d.Fields, p[len(p)-1])
		}
	}
	d.Language, _ = analysis.NewLanguage(o.Language)
	return d
}

// SoleField is the name of the field of an index with one field.
const SoleField = "text"

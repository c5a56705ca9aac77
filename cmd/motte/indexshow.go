package main

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"motte/client"
)

// showView is an index and its configuration as JSON.
type showView struct {
	Collection    string `json:"collection"`
	Index         string `json:"index"`
	Task          string `json:"task"`
	Type          string `json:"type"`
	Ordered       bool   `json:"ordered"`
	Lazy          bool   `json:"lazy"`
	Attribute     bool   `json:"attribute"`
	Resident      bool   `json:"resident"`
	Configuration string `json:"configuration"`    // "" if it is binary
	Binary        []byte `json:"binary,omitempty"` // the configuration in Base64, if it is not text
}

func (a *app) indexShow() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:   "show COLLECTION INDEX",
		Short: "Show the declaration and the configuration of an index",
		Long: `Show what 'motte index create' was given: Task, data type, options and configuration. The
configuration may contain data about objects. So this needs the right admin in the collection,
as 'motte index create' does.`,
		Example: `  motte index show people by_age`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		x, err := a.findIndex(ctx, c, args[0], args[1])
		if err != nil {
			return err
		}
		configuration, err := c.Configuration(ctx, args[0], args[1])
		if err != nil {
			return fmt.Errorf("index %s %s: %w", args[0], args[1], err)
		}
		v := showView{Collection: x.Collection, Index: x.Index, Task: x.Task, Type: x.Type,
			Ordered: x.Ordered, Lazy: x.Lazy, Attribute: x.Attribute, Resident: x.Resident}
		if utf8.Valid(configuration) {
			v.Configuration = string(configuration)
		} else {
			v.Binary = configuration
		}
		return a.showIndex(&v)
	})
}

func (a *app) showIndex(v *showView) error {
	if a.json {
		return a.emit(v)
	}
	text := v.Configuration
	if v.Binary != nil {
		text = fmt.Sprintf("%x", v.Binary)
	}
	return a.properties([]property{{"task", v.Task}, {"type", v.Type}, {"options", optionsText(v.Ordered, v.Lazy, v.Attribute, v.Resident)},
		{"configuration", text}})
}

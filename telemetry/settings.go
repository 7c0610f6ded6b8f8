// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// Source says where a setting's value comes from.
type Source string

// The sources, the strongest first: the environment wins over options, so that
// whoever runs a program has the last word, and options win over defaults.
const (
	SourceEnvironment Source = "environment"
	SourceOption      Source = "option"
	SourceDefault     Source = "default"
)

// Setting is one effective setting. Secrets in Value are masked.
type Setting struct {
	// Name is the environment variable, also for values from elsewhere.
	Name string
	// Value is what is in effect; empty means unset.
	Value  string
	Source Source
}

// Settings are the effective settings, in a fixed order.
type Settings []Setting

// Get returns the value of the named variable, or "".
func (s Settings) Get(name string) string {
	i := slices.IndexFunc(s, func(x Setting) bool { return x.Name == name })
	if i < 0 {
		return ""
	}
	return s[i].Value
}

// Changed returns the settings that are not defaults.
func (s Settings) Changed() Settings {
	return slices.DeleteFunc(slices.Clone(s), func(x Setting) bool { return x.Source == SourceDefault })
}

// String returns a table with one line a setting, made for people.
func (s Settings) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, x := range s {
		value := x.Value
		if value == "" {
			value = "-"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", x.Name, value, x.Source)
	}
	_ = w.Flush() // a strings.Builder does not fail
	return b.String()
}

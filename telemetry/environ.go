// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// environ holds the checked value of every variable in the table.
type environ struct {
	value  map[string]string
	source map[string]Source
	errs   []variableError
}

type variableError struct {
	name string
	err  error
}

// readEnviron reads every variable of the table: from the environment, else
// from fallbacks (the options), else its default. It checks the values from the
// environment and goes on after a bad one, so that a user sees all at once.
func readEnviron(fallbacks map[string]string) *environ {
	e := &environ{value: make(map[string]string), source: make(map[string]Source)}
	for _, v := range variables {
		// The specification treats an empty variable as an unset one.
		if value := strings.TrimSpace(os.Getenv(v.name)); value != "" {
			e.value[v.name], e.source[v.name] = value, SourceEnvironment
			if v.check == nil {
				continue
			}
			if rule := v.check(value); rule != "" {
				e.fail(v.name, value, rule)
			}
			continue
		}
		if value, ok := fallbacks[v.name]; ok {
			e.value[v.name], e.source[v.name] = value, SourceOption
			continue
		}
		e.value[v.name], e.source[v.name] = v.preset, SourceDefault
	}
	return e
}

// fail records a problem with a variable; the value is masked like a setting.
func (e *environ) fail(name, value, rule string) {
	err := fmt.Errorf("telemetry: %s is %q, %s", name, mask(name, value), rule)
	e.errs = append(e.errs, variableError{name: name, err: err})
}

// err joins the problems with the named variables, or with all if none is named.
func (e *environ) err(names ...string) error {
	var errs []error
	for _, ve := range e.errs {
		if len(names) == 0 || slices.Contains(names, ve.name) {
			errs = append(errs, ve.err)
		}
	}
	return errors.Join(errs...)
}

// set replaces a value by what came out in the end.
func (e *environ) set(name, value string, source Source) {
	e.value[name], e.source[name] = value, source
}

// get returns the value of name; for per-signal variables that of the signal
// first and of the general one second.
func (e *environ) get(names ...string) string {
	for _, name := range names {
		if v := e.value[name]; v != "" {
			return v
		}
	}
	return ""
}

// list splits a comma-separated value, leaving out empty and repeated members.
func (e *environ) list(name string) []string {
	var out []string
	seen := make(map[string]bool)
	for item := range strings.SplitSeq(e.value[name], ",") {
		if item = strings.ToLower(strings.TrimSpace(item)); item != "" && !seen[item] {
			seen[item] = true
			out = append(out, item)
		}
	}
	return out
}

func (e *environ) isTrue(name string) bool { return strings.EqualFold(e.value[name], "true") }

// integer and milliseconds are for values that have passed their check.
func (e *environ) integer(name string) int {
	n, _ := strconv.Atoi(e.value[name])
	return n
}

func (e *environ) milliseconds(name string) time.Duration {
	return time.Duration(e.integer(name)) * time.Millisecond
}

func (e *environ) settings() Settings {
	out := make(Settings, 0, len(variables))
	for _, v := range variables {
		out = append(out, Setting{Name: v.name, Value: mask(v.name, e.value[v.name]), Source: e.source[v.name]})
	}
	return out
}

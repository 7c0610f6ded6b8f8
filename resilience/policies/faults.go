// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// fault is something wrong with the options of a service, or of the server.
type fault struct {
	method string // whose it is; empty for the whole
	text   string // package, field, value and rule
}

type faults []fault

// add adds what is wrong by err, which may be nil or several errors joined.
func (f *faults) add(err error) { f.addTo("", err) }

// addTo is add for a method, which has inherited what is wrong with the whole.
func (f *faults) addTo(method string, err error) {
	if err == nil {
		return
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			f.addTo(method, err)
		}
		return
	}
	text := withoutName(err.Error())
	for _, from := range []string{"", allMethodsOf(method)} {
		if slices.Contains(*f, fault{from, text}) {
			return
		}
	}
	*f = append(*f, fault{method, text})
}

// withoutName takes the name of the service out of an error that has it, `retry
// "payment": max attempts 0: …`: it is said already.
func withoutName(text string) string {
	for _, pkg := range []string{"retry", "hedge"} {
		if rest, ok := strings.CutPrefix(text, pkg+` "`); ok {
			if _, after, ok := strings.Cut(rest, `": `); ok {
				return pkg + ": " + after
			}
		}
	}
	return text
}

// without returns the faults that are not among those that were inherited.
func (f faults) without(inherited faults) faults {
	return slices.DeleteFunc(slices.Clone(f), func(x fault) bool { return slices.Contains(inherited, x) })
}

// in returns the faults as errors that say where they are.
func (f faults) in(where string) []error {
	errs := make([]error, len(f))
	for i, x := range f {
		if x.method != "" {
			errs[i] = errors.New(where + ": method " + strconv.Quote(x.method) + ": " + x.text)
		} else {
			errs[i] = errors.New(where + ": " + x.text)
		}
	}
	return errs
}

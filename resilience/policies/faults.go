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
	where string // `method "…": `; empty for the whole
	text  string // package, field, value and rule
}

func faultOf(method, text string) fault {
	return fault{where: "method " + strconv.Quote(method) + ": ", text: text}
}

type faults []fault

// add adds what is wrong by err, which may be nil or several errors joined.
func (f *faults) add(err error) {
	for _, text := range texts(err) {
		*f = append(*f, fault{text: text})
	}
}

// addTo is add for a method, but for what it has inherited.
func (f *faults) addTo(method string, err error) {
	for _, text := range texts(err) {
		whole, all := fault{text: text}, faultOf(allMethodsOf(method), text)
		if !slices.Contains(*f, whole) && !slices.Contains(*f, all) {
			*f = append(*f, faultOf(method, text))
		}
	}
}

// texts takes an error apart that may be nil or several joined.
func texts(err error) []string {
	if err == nil {
		return nil
	}
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{withoutName(err.Error())}
	}
	var all []string
	for _, err := range several.Unwrap() {
		all = append(all, texts(err)...)
	}
	return all
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
		errs[i] = errors.New(where + ": " + x.where + x.text)
	}
	return errs
}

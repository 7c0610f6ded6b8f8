// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"slices"
	"strconv"
	"strings"
)

// OptionError is one thing that is wrong with the options of a [Set]. The error of [New]
// joins as many as there are.
type OptionError struct {
	// Part is what it is wrong with: "server", "defaults", "service" or, for the set
	// itself, empty.
	Part string
	// Service is the downstream service, if it is one.
	Service string
	// Method is the method, unless it is the whole; NamesMethod says which.
	Method      string
	NamesMethod bool
	// Text names package, field, value and rule: "breaker: jitter 3: must be from 0 to
	// 1"; for a method's own name, the rule alone: "must be …".
	Text string
}

// Error implements error: `policies: service "payment": method "/a/b": retry: max
// attempts 0: must be at least 1, which is the first attempt`.
func (e *OptionError) Error() string {
	text := "policies: "
	if e.Part != "" {
		text += e.Part
		if e.Service != "" {
			text += " " + strconv.Quote(e.Service)
		}
		text += ": "
	}
	if e.NamesMethod {
		text += "method " + strconv.Quote(e.Method) + ": "
	}
	return text + e.Text
}

// fault is something wrong with the options of a service, or of the server.
type fault struct {
	ofMethod     bool
	method, text string
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
		whole, all := fault{text: text}, fault{ofMethod: true, method: allMethodsOf(method), text: text}
		if !slices.Contains(*f, whole) && !slices.Contains(*f, all) {
			*f = append(*f, fault{ofMethod: true, method: method, text: text})
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
func (f faults) in(part, service string) []error {
	errs := make([]error, len(f))
	for i, x := range f {
		errs[i] = &OptionError{Part: part, Service: service, NamesMethod: x.ofMethod, Method: x.method, Text: x.text}
	}
	return errs
}

// SPDX-License-Identifier: Apache-2.0

package grpcresolver

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/fairlead-go/fairlead/discovery"
)

// The parameters of a target.
const (
	paramNamespace = "ns"
	paramTag       = "tag"
	paramZone      = "zone"
)

// target is what a connection asks for.
type target struct {
	query discovery.Query
	tags  []string // all of them, sorted; nil for any
	zone  string   // empty for any
	// chosen is the filter of [WithFilter], or nil.
	chosen func(*discovery.Instance) bool
}

// parseTarget reads scheme:///service?ns=…&tag=…&zone=…, and nothing that looks nearly
// like it: what is misspelt in a target would otherwise call the wrong instances, or
// all of them. The error names everything that is wrong.
func parseTarget(u *url.URL, home discovery.Namespace) (target, error) {
	t, err := readTarget(u, home)
	if err != nil {
		return target{}, fmt.Errorf("grpcresolver: target %q: %w", u.Redacted(), err)
	}
	return t, nil
}

func readTarget(u *url.URL, home discovery.Namespace) (target, error) {
	service, ok := strings.CutPrefix(u.Path, "/")
	switch {
	case u.Host != "" || u.User != nil:
		return target{}, fmt.Errorf("must have no authority, which is what stands between // and /: it is %s:///service", u.Scheme)
	case u.Opaque != "" || !ok:
		return target{}, fmt.Errorf("must be of the form %s:///service", u.Scheme)
	case u.Fragment != "" || u.RawFragment != "":
		return target{}, errors.New("must have no fragment")
	case u.RawPath != "":
		return target{}, errors.New("must have no percent-encoding in the name of the service")
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return target{}, fmt.Errorf("parameters: %w", err)
	}
	t := target{query: discovery.Query{Namespace: home, Service: service}}
	var errs []error
	if ns, ok, err := single(params, paramNamespace); err != nil {
		errs = append(errs, err)
	} else if ok {
		t.query.Namespace = discovery.Namespace(ns)
	}
	if t.zone, _, err = single(params, paramZone); err != nil {
		errs = append(errs, err)
	}
	if t.tags = slices.Compact(slices.Sorted(slices.Values(params[paramTag]))); len(t.tags) > 0 && t.tags[0] == "" {
		errs = append(errs, empty(paramTag))
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if name != paramNamespace && name != paramTag && name != paramZone {
			errs = append(errs, fmt.Errorf("parameter %q: must be one of ns, tag and zone", name))
		}
	}
	if len(errs) > 0 {
		return target{}, errors.Join(errs...)
	}
	return t, t.validate(home)
}

// single returns a parameter that makes no sense twice.
func single(params url.Values, name string) (value string, ok bool, err error) {
	switch values := params[name]; {
	case len(values) == 0:
		return "", false, nil
	case len(values) > 1:
		return "", false, fmt.Errorf("parameter %q: must be there once, and has %d values: %q", name, len(values), values)
	case values[0] == "":
		return "", false, empty(name)
	default:
		return values[0], true, nil
	}
}

func empty(name string) error {
	return fmt.Errorf("parameter %q: must not be empty: leave it out", name)
}

// validate holds what is asked for against what an instance may have: a tag that none
// can have finds none.
func (t target) validate(home discovery.Namespace) error {
	like := discovery.Instance{Namespace: t.query.Namespace, Service: t.query.Service, Address: "127.0.0.1:1", Zone: t.zone, Tags: t.tags}
	if _, err := like.Normalized(); err != nil {
		return err
	}
	if t.query.Namespace != home {
		return fmt.Errorf("%w: %q, from a process of %q: a process sees the services of its own environment alone", discovery.ErrForeignNamespace, t.query.Namespace, home)
	}
	return nil
}

// wants reports whether an instance of the service is one of those asked for.
func (t target) wants(in *discovery.Instance) bool {
	if t.zone != "" && in.Zone != t.zone {
		return false
	}
	for _, tag := range t.tags {
		if !in.HasTag(tag) {
			return false
		}
	}
	return t.chosen == nil || t.chosen(in)
}

// filter describes what wants looks at.
func (t target) filter() string {
	var parts []string
	for _, tag := range t.tags {
		parts = append(parts, paramTag+"="+tag)
	}
	if t.zone != "" {
		parts = append(parts, paramZone+"="+t.zone)
	}
	if t.chosen != nil {
		parts = append(parts, "what the resolver's filter chooses")
	}
	return strings.Join(parts, " and ")
}

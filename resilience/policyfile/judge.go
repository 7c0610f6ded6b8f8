// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"errors"
	"strconv"
	"strings"

	"github.com/fairlead-go/fairlead/resilience/policies"
)

// judge says of each error of package policies where in the file it comes from.
func (p *parser) judge(err error) {
	for _, leaf := range leaves(err) {
		if wrong, ok := errors.AsType[*policies.OptionError](leaf); ok {
			p.place(wrong)
		} else {
			p.fail(nil, "", "", leaf.Error())
		}
	}
}

// place finds the value that is wrong, or else the mapping that makes what is inherited
// wrong.
func (p *parser) place(e *policies.OptionError) {
	where := part{part: e.Part, service: e.Service, method: e.Method}
	if e.NamesMethod && strings.HasPrefix(e.Text, "must ") {
		at := p.keys[where]
		p.fail(at.node, at.field, "", e.Text)
		return
	}
	policy, text := policyAndText(e.Text)
	candidates := []string{policy}
	switch {
	case e.Part == "":
		candidates, text = []string{""}, e.Text
	case policy == "ratelimit":
		candidates = []string{"rate_limit", "concurrency"}
	}
	for _, where.policy = range candidates {
		if o := p.objects[where]; o != nil && o.blame(text) {
			return
		}
	}
	if p.broken { // then it may be for want of what could not be read
		return
	}
	at := p.keys[part{part: e.Part, service: e.Service}]
	for _, where.policy = range candidates {
		if o := p.objects[where]; o != nil {
			p.fail(o.node, o.field, "", text)
			return
		}
		// What a method has inherited may not go with what its service says.
		if o := p.objects[part{part: e.Part, service: e.Service, policy: where.policy}]; o != nil {
			at = place{o.node, o.field}
		}
	}
	if e.NamesMethod {
		text = "method " + strconv.Quote(e.Method) + ": " + text
	}
	p.fail(at.node, at.field, "", text)
}

// leaves takes errors apart that were joined.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range several.Unwrap() {
		all = append(all, leaves(e)...)
	}
	return all
}

// policyAndText takes an error of a policy apart: `retry "x": max attempts 0: must …`,
// `breaker: jitter 3: must …`, `retry: budget: share 2: must …`.
func policyAndText(text string) (policy, rest string) {
	policy, rest, _ = strings.Cut(text, ": ")
	policy, _, _ = strings.Cut(policy, " ")
	if after, ok := strings.CutPrefix(rest, "budget: "); ok {
		return "budget", after
	}
	return policy, rest
}

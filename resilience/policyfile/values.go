// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-go/fairlead/internal/yamldoc"
	"github.com/fairlead-go/fairlead/resilience"
)

// number reads a number, whole or not.
func number(p *parser, at place) (v float64, ok bool) {
	switch at.node.ShortTag() {
	case "!!int", "!!float":
		ok = at.node.Kind == yaml.ScalarNode && at.node.Decode(&v) == nil
	}
	if !ok {
		p.fail(at.node, at.field, shown(at.node), "must be a number such as 0.5")
	}
	return v, ok
}

// whole reads a whole number.
func whole(p *parser, at place) (int, bool) {
	var v int64
	if at.node.ShortTag() != "!!int" || at.node.Decode(&v) != nil || v != int64(int(v)) {
		p.fail(at.node, at.field, shown(at.node), "must be a whole number such as 3")
		return 0, false
	}
	return int(v), true
}

// duration reads a duration with its unit. 0 needs none.
func duration(p *parser, at place) (time.Duration, bool) {
	switch at.node.ShortTag() {
	case "!!str", "!!int":
		if d, err := time.ParseDuration(at.node.Value); err == nil && at.node.Kind == yaml.ScalarNode {
			return d, true
		}
	}
	p.fail(at.node, at.field, shown(at.node), `must be a duration with its unit, such as 200ms or 1m30s`)
	return 0, false
}

// outcomes reads a list of outcomes by their names.
func outcomes(p *parser, at place) ([]resilience.Outcome, bool) {
	if at.node.Kind != yaml.SequenceNode {
		p.fail(at.node, at.field, shown(at.node), "must be a list of outcomes such as [transient, overload]")
		return nil, false
	}
	all, fine := []resilience.Outcome{}, true
	for _, n := range at.node.Content {
		n = yamldoc.Follow(n)
		if !p.count(n) {
			return nil, false
		}
		o, ok := outcomesByName[n.Value]
		if !ok {
			p.fail(n, at.field, shown(n), "must be an outcome: one of "+strings.Join(outcomeNames, ", "))
			fine = false
			continue
		}
		all = append(all, o)
	}
	return all, fine || len(all) > 0 // so that all that is wrong with it is told
}

var outcomesByName, outcomeNames = func() (map[string]resilience.Outcome, []string) {
	byName, names := map[string]resilience.Outcome{}, []string(nil)
	for o := resilience.OutcomeOK; o <= resilience.OutcomeRejected; o++ {
		byName[o.String()] = o
		names = append(names, o.String())
	}
	return byName, names
}()

// toggle reads whether n switches something on or off, and returns false if it does
// neither.
func toggle(n *yaml.Node) (on, ok bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!bool" {
		return false, false
	}
	switch n.Value {
	case "on", "true":
		return true, true
	case "off", "false":
		return false, true
	default:
		return false, false
	}
}

// only returns a reader for a key that knows one of on and off.
func only(want bool) func(*parser, place) (bool, bool) {
	return func(p *parser, at place) (bool, bool) {
		if on, ok := toggle(at.node); !ok || on != want {
			rule := "must be off, or not be there"
			if want {
				rule = "must be on, or not be there"
			}
			p.fail(at.node, at.field, shown(at.node), rule)
			return false, false
		}
		return true, true
	}
}

// isNull reports whether n says nothing, as a key without a value does.
func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// Rule is the name of one rule of the suite.
type Rule string

// The rules, in the order they are played. What each demands, and why, is in its
// [RuleInfo]: see [Rules]. There is one more for each [Fault], see [FaultRule].
const (
	FirstAnswer      Rule = "first-answer"
	FirstAnswerEmpty Rule = "first-answer-empty"
	SeesChanges      Rule = "sees-changes"
	NoNews           Rule = "no-news"
	WatchContext     Rule = "watch-context"
	WatchClose       Rule = "watch-close"
	WatchLeaks       Rule = "watch-leaks"
	QueryInvalid     Rule = "query-invalid"
	RoundTrip        Rule = "round-trip"
	RegisterAgain    Rule = "register-again"
	RegisterInvalid  Rule = "register-invalid"
	RegisterContext  Rule = "register-context"
	HeartbeatKeeps   Rule = "heartbeat-keeps"
	HeartbeatUnknown Rule = "heartbeat-unknown"
	HeartbeatHealth  Rule = "heartbeat-health"
	TTLExpires       Rule = "ttl-expires"
	LookupSees       Rule = "lookup"
	DeregisterGone   Rule = "deregister"
	Namespaces       Rule = "namespaces"
	Services         Rule = "services"
	MalformedEntry   Rule = "malformed"
	ManyInstances    Rule = "many"
	Concurrency      Rule = "concurrency"
)

// FaultRule returns the rule for a fault, "fault-outage" for one.
func FaultRule(f Fault) Rule { return "fault-" + Rule(f) }

// RuleInfo describes a rule.
type RuleInfo struct {
	Rule Rule
	Doc  string // what must hold, and why
}

type ruleRow struct {
	RuleInfo
	play     func(*session)
	register bool // needs a registry
	full     bool // needs entries that carry all fields
	raw      bool // needs PutRaw
	fault    Fault
}

func ruleTable() []ruleRow {
	row := func(r Rule, play func(*session), doc string) ruleRow {
		return ruleRow{RuleInfo: RuleInfo{r, doc}, play: play}
	}
	registering := func(r ruleRow) ruleRow { r.register = true; return r }
	full := func(r ruleRow) ruleRow { r.full = true; return r }
	raw := func(r ruleRow) ruleRow { r.raw = true; return r }
	table := []ruleRow{
		row(FirstAnswer, playFirstAnswer, "the first update is a full one, with all there is: callers wait for it"),
		row(FirstAnswerEmpty, playFirstAnswerEmpty, "nothing is an answer, too: a full update without instances, and not silence"),
		row(SeesChanges, playSeesChanges, "what is added, changed and removed is seen, without asking anew"),
		row(NoNews, playNoNews, "heartbeats, and the same registration again, are no change: each would wake every client"),
		row(WatchContext, playWatchContext, "Next ends with its context, and the next one misses nothing that happened meanwhile"),
		row(WatchClose, playWatchClose, "Close ends a Next that waits, can be called twice, and is final"),
		row(WatchLeaks, playWatchLeaks, "a thousand watches that were opened and closed leave no goroutine"),
		row(QueryInvalid, playQueryInvalid, "a query that is not valid is refused: part of it may be a path"),
		full(registering(row(RoundTrip, playRoundTrip, "every field of an instance arrives as it was registered"))),
		registering(row(RegisterAgain, playRegisterAgain, "registering the same instance again, from this process or the next, leaves one entry")),
		registering(row(RegisterInvalid, playRegisterInvalid, "an instance that is not valid is refused before anything is written")),
		registering(row(RegisterContext, playRegisterContext, "calls end with their context")),
		registering(row(HeartbeatKeeps, playHeartbeatKeeps, "an instance that sends heartbeats stays")),
		registering(row(HeartbeatUnknown, playHeartbeatUnknown, "a heartbeat for what is not there says so, and creates nothing")),
		registering(row(HeartbeatHealth, playHeartbeatHealth, "an instance that says that it fails is not seen as passing, from the first moment on")),
		registering(row(TTLExpires, playTTLExpires, "an instance that sends none is gone after its time to live, and not before")),
		registering(row(LookupSees, playLookup, "Lookup finds what callers find, and says if that is nothing")),
		registering(row(DeregisterGone, playDeregister, "an instance that was deregistered is gone, and stays so; there need not have been one")),
		row(Namespaces, playNamespaces, "an environment is never seen from another, whatever their names have in common"),
		row(Services, playServices, "a service is not seen under another's name, whatever they have in common"),
		raw(row(MalformedEntry, playMalformed, "an entry that makes no valid instance is reported and skipped, and takes no other with it")),
		row(ManyInstances, playMany, "from one to a thousand instances, and back: nothing is cut off, or left on another page"),
		registering(row(Concurrency, playConcurrency, "whoever registers, looks and leaves at the same time, the end is what it should be")),
	}
	for _, f := range faultTable {
		table = append(table, ruleRow{
			RuleInfo: RuleInfo{FaultRule(f.fault), f.doc}, fault: f.fault,
			play: func(s *session) { playFault(s, f) },
		})
	}
	return table
}

// Rules returns all rules in the order they are played.
func Rules() []RuleInfo {
	var infos []RuleInfo
	for _, row := range ruleTable() {
		infos = append(infos, row.RuleInfo)
	}
	return infos
}

// unmet returns what the harness lacks for the rule, or "".
func (r ruleRow) unmet(h *Harness) string {
	switch {
	case r.register && h.Registry == nil:
		return "it cannot be registered with"
	case r.full && h.Lossy:
		return "its entries carry addresses only"
	case r.raw && h.PutRaw == nil:
		return "the harness cannot put text there"
	case r.fault != "" && h.Faults[r.fault] == nil:
		return "the harness cannot play " + string(r.fault)
	default:
		return ""
	}
}

// Option changes how the suite is run.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	bubble bool
	skip   map[Rule]string
	only   []Rule
}

// InBubble plays each rule in a bubble of testing/synctest, in virtual time. The back
// end must not open sockets, and everything that it starts has to end when the rule
// does.
func InBubble() Option { return option(func(c *config) { c.bubble = true }) }

// Without leaves out a rule, for a reason that is logged: something that a registry
// cannot do by its nature.
func Without(r Rule, reason string) Option { return option(func(c *config) { c.skip[r] = reason }) }

// Only plays these rules alone.
func Only(rules ...Rule) Option { return option(func(c *config) { c.only = append(c.only, rules...) }) }

// Run plays every rule as a subtest. newHarness is called once for each, with the
// subtest.
func Run(t *testing.T, newHarness func(t TB) *Harness, opts ...Option) {
	t.Helper()
	c := config{skip: map[Rule]string{}}
	for _, o := range opts {
		o.apply(&c)
	}
	var skipped []string
	for _, row := range ruleTable() {
		if c.only != nil && !slices.Contains(c.only, row.Rule) {
			continue
		}
		t.Run(string(row.Rule), func(t *testing.T) {
			reason := c.skip[row.Rule]
			if reason == "" {
				reason = c.run(t, row, newHarness)
			}
			if reason != "" {
				skipped = append(skipped, string(row.Rule)+" ("+reason+")")
				t.Skip(reason)
			}
		})
	}
	if len(skipped) > 0 {
		t.Logf("not played: %s", strings.Join(skipped, ", "))
	}
}

// run plays a rule, and returns why not if it did not.
func (c *config) run(t *testing.T, row ruleRow, newHarness func(TB) *Harness) (reason string) {
	if !c.bubble {
		return play(t, row, newHarness(t))
	}
	synctest.Test(t, func(t *testing.T) { reason = play(t, row, newHarness(t)) })
	return reason
}

func play(t TB, row ruleRow, h *Harness) string {
	t.Helper()
	h.setDefaults()
	if reason := row.unmet(h); reason != "" {
		return reason
	}
	row.play(newSession(t, h, row.Rule))
	return ""
}

// Check plays one rule, and reports whether it could: whether the harness has what the
// rule needs. [Run] is for whole suites.
func Check(t TB, r Rule, h *Harness) bool {
	t.Helper()
	for _, row := range ruleTable() {
		if row.Rule == r {
			return play(t, row, h) == ""
		}
	}
	t.Fatalf("discoverytest: no such rule: %s", r)
	return false
}

// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import "slices"

// Rule is the name of one rule of [Check].
type Rule string

// The rules, in the order they are checked. What each demands, and why, is in its
// [RuleInfo]: see [Rules].
const (
	RunComplete   Rule = "run-complete"
	SpanEnded     Rule = "span-ended"
	SpanOnce      Rule = "span-once"
	SpanTimes     Rule = "span-times"
	SpanParent    Rule = "span-parent"
	LogLine       Rule = "log-line"
	LogKeys       Rule = "log-keys"
	LogCorrelated Rule = "log-correlated"
	LogKnownID    Rule = "log-known-id"
	LogContext    Rule = "log-context"
	ExemplarSize  Rule = "exemplar-size"
	ExemplarLeads Rule = "exemplar-leads"
	ExemplarValue Rule = "exemplar-value"
	CallLine      Rule = "call-line"
	CallFields    Rule = "call-fields"
	CallDuration  Rule = "call-duration"
	CallCount     Rule = "call-count"
	CallAttempts  Rule = "call-attempts"
	CallDegraded  Rule = "call-degraded"
	MetricIDs     Rule = "metric-ids"
	MetricSeries  Rule = "metric-series"
)

// RuleInfo describes a rule.
type RuleInfo struct {
	Rule Rule
	Doc  string // what must hold, and why
}

type ruleRow struct {
	RuleInfo
	find func(*check)
}

var ruleTable = []ruleRow{
	{RuleInfo{RunComplete, "nothing was left out for want of room, and every registry could be gathered: half a run proves nothing"}, findIncomplete},

	{RuleInfo{SpanEnded, "every span started is ended: one that is not never reaches a back end, and its children hang in the air"}, findUnended},
	{RuleInfo{SpanOnce, "every span is started once and ended once: a second end, or a second span of the same id, tells another story of the same thing"}, findTwice},
	{RuleInfo{SpanTimes, "no span ends before it starts or starts before its parent: on one clock it cannot, so somebody read it twice"}, findTimes},
	{RuleInfo{SpanParent, "every span's parent is in the run or declared external: an orphan is a trace cut in two"}, findOrphans},

	{RuleInfo{LogLine, "every log line is one JSON object on one line, without control characters: anything else can forge lines or take over a terminal"}, findBadLines},
	{RuleInfo{LogKeys, "no log line has a key twice, at its root or inside: readers disagree about which one counts"}, findDoubledKeys},
	{RuleInfo{LogCorrelated, "every log line has a trace id and a span id at its root, save those declared uncorrelated: one without is lost to its request"}, findUncorrelated},
	{RuleInfo{LogKnownID, "the ids of every log line are those of a span of the run, and of one span: others are made up, or somebody else's"}, findForeign},
	{RuleInfo{LogContext, "the ids of a log line are those of the context it was logged with: others are left over from another request"}, findOutOfContext},

	{RuleInfo{ExemplarSize, "no exemplar is over 128 runes: OpenMetrics forbids it, and client libraries panic"}, findBigExemplars},
	{RuleInfo{ExemplarLeads, "every exemplar leads to a recorded and sampled span of its trace: a link to nothing is worse than none"}, findLostExemplars},
	{RuleInfo{ExemplarValue, "every exemplar lies in its bucket and, on a histogram of calls, is the duration of its span and of its series"}, findWrongExemplars},

	{RuleInfo{CallLine, "every call has one span and one request log line, and the line names that span"}, findCallLines},
	{RuleInfo{CallFields, "a request log line and its span have the same method, code and error type"}, findCallFields},
	{RuleInfo{CallDuration, "a request log line and its span have the same duration: there is one clock reading at each end"}, findCallDurations},
	{RuleInfo{CallCount, "a histogram has counted as many calls of each method and code as there are spans and request log lines: a dashboard must not show another number than the log"}, findCallCounts},
	{RuleInfo{CallAttempts, "a request log line says as many attempts as its call has attempt spans, each with its own number: whoever counts retries in one must not find others in the other"}, findCallAttempts},
	{RuleInfo{CallDegraded, "a call whose reply a fallback stood in for says so on its span and its request log line alike: it must not pass for a success in either"}, findCallDegraded},

	{RuleInfo{MetricIDs, "no label value looks like an id: every id would be a series, and every series costs memory for good"}, findIDLabels},
	{RuleInfo{MetricSeries, "no metric has more series than the limit: peers must not be able to make up label values"}, findManySeries},
}

// Rules returns all rules in the order they are checked.
func Rules() []RuleInfo {
	infos := make([]RuleInfo, len(ruleTable))
	for i, row := range ruleTable {
		infos[i] = row.RuleInfo
	}
	return infos
}

// Problem is one breach of a rule.
type Problem struct {
	Rule    Rule
	Message string // names the offender
	TraceID string // the trace to look at; may be empty
	SpanID  string // may be empty

	line *Line
}

// String returns the rule and the message.
func (p Problem) String() string { return string(p.Rule) + ": " + p.Message }

// Problems returns every breach of every rule, in the order of [Rules].
func (r *Run) Problems(opts ...Option) []Problem { return r.problems(nil, opts) }

// problems looks for breaches of the rules named, or of all.
func (r *Run) problems(only []Rule, opts []Option) []Problem {
	c := &check{Run: r, config: newConfig(opts)}
	for _, row := range ruleTable {
		if c.config.off[row.Rule] || only != nil && !slices.Contains(only, row.Rule) {
			continue
		}
		c.rule = row.Rule
		row.find(c)
	}
	return c.found
}

// maxReports is how many breaches of one rule are reported in full.
const maxReports = 5

// Check fails the test for every breach of a rule. The first five of each rule
// are reported with the tree of their trace, the others only counted.
func Check(t TB, run *Run, opts ...Option) {
	t.Helper()
	report(t, run, run.Problems(opts...))
}

func report(t TB, run *Run, problems []Problem) {
	t.Helper()
	seen := map[Rule]int{}
	for _, p := range problems {
		if seen[p.Rule]++; seen[p.Rule] > maxReports {
			continue
		}
		if tr := run.traces[p.TraceID]; tr != nil {
			t.Errorf("telemetrytest: %s\n%s", p, tr.Tree())
			continue
		}
		t.Errorf("telemetrytest: %s", p)
	}
	for _, row := range ruleTable {
		if more := seen[row.Rule] - maxReports; more > 0 {
			t.Errorf("telemetrytest: %s: … and %s", row.Rule, count(more, "more problem"))
		}
	}
}

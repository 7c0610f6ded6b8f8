// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Render draws what the policies did as tables for a terminal.
func (p Policies) Render() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintf(w, "  %s\n", strings.Join(cells, "\t")) }
	row("calls", "made", "sent", "retries", "hedges", "saved", "budget", "breaker", "refused", "given up")
	for _, c := range p.Clients {
		row(c.From+" → "+c.To, number(c.Calls), number(c.Sent), number(c.Retries), number(c.Hedges), number(c.Saved),
			budget(c.Budget), c.breaker(), Counts(c.Refused), Counts(c.GivenUp))
	}
	row()
	row("servers", "received", "refused")
	for _, s := range p.Servers {
		row(s.Service, number(s.Received), Counts(s.Refused))
	}
	_ = w.Flush() // into memory
	return trimLines(b.String())
}

func (c Client) breaker() string {
	if c.Trips == 0 {
		return c.Breaker
	}
	return fmt.Sprintf("%s, opened %d×", c.Breaker, c.Trips)
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func budget(left float64) string {
	if left < 0 {
		return "-"
	}
	return strconv.FormatFloat(left, 'f', 1, 64)
}

// Counts lists counts by what they are of, the most frequent first.
func Counts(m map[string]int) string {
	var parts []string
	for _, k := range byCount(m) {
		if m[k] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// trimLines removes spaces at the ends of lines.
func trimLines(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

// Line returns the change in one line; start is when the run began.
func (c Change) Line(start time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6s  %s → %s: breaker %s → %s", "+"+seconds(c.At.Sub(start)), c.Service, c.Name, c.From, c.To)
	if c.OpenFor > 0 {
		fmt.Fprintf(&b, " for %s", round(c.OpenFor))
	}
	if c.Reason != "" {
		b.WriteString(": " + oneLine(c.Reason))
	}
	if c.TraceID != "" {
		b.WriteString("  trace " + oneLine(c.TraceID))
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// byCount returns the keys, the most frequent first.
func byCount[K ~string](m map[K]int) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(string(a), string(b))
	})
}

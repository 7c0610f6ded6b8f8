// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/audit"
	"github.com/fairlead-go/fairlead/examples/shop/internal/churn"
	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

// showDiscovery prints which instances were where, and what changed.
func showDiscovery(out io.Writer, p *premises, events []churn.Event, s load.Snapshot) {
	names := make(map[string]string)
	for _, i := range p.shop.Instances() {
		names[address(i)] = i.ID
	}
	for _, e := range events {
		names[address(e.Instance)] = e.Instance.ID
	}
	say(out, "\nwho was found, in the registry: %s\n\n", p.where())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	say(w, "  service\tcame\twent\tnow\n")
	for _, l := range p.directory.Listings() {
		say(w, "  %s\t%d\t%d\t%s\n", l.Service, l.Came, l.Went, count(l))
		slices.SortFunc(l.Addresses, func(a, b string) int {
			return cmp.Or(cmp.Compare(len(names[a]), len(names[b])), cmp.Compare(names[a], names[b]))
		})
		for _, a := range l.Addresses {
			say(w, "  \t\t\t%s\t%s\n", cmp.Or(names[a], "?"), a)
		}
	}
	_ = w.Flush()
	if len(events) > 0 {
		say(out, "\n  instances: %d added, %d ended, %d killed; %d requests of customers did not end as they should\n",
			churn.Count(events, churn.Added), churn.Count(events, churn.Ended), churn.Count(events, churn.Killed), s.Unexpected)
	}
	showChanges(out, changes(p.directory.Moves(), events, names, s.Start))
}

// count says how many instances there are.
func count(l report.Listing) string {
	if l.Held > 0 {
		return fmt.Sprintf("%d, %d of them not in the registry any more, and kept for a while", len(l.Addresses), l.Held)
	}
	return strconv.Itoa(len(l.Addresses))
}

// change is something that happened to an instance, or to the registry.
type change struct {
	at   time.Time
	text string
}

// changes returns what was done to instances since start, and what callers saw of it, in
// order. names are those of instances, by address.
func changes(moves []report.Move, events []churn.Event, names map[string]string, start time.Time) []change {
	done := make(map[string]churn.Event) // what ended an instance, by address
	var all []change
	for _, e := range events {
		if e.Act == churn.Added {
			continue // it came
		}
		done[address(e.Instance)] = e
		if e.Act == churn.Killed {
			all = append(all, changed(e.At, start, e.Instance.ID+" is killed"))
		}
	}
	for _, m := range moves {
		if m.At.Before(start) {
			continue // the shop opened
		}
		name := cmp.Or(names[m.Address], m.Address)
		e, asked := done[m.Address]
		after := m.At.Sub(e.At).Round(100 * time.Microsecond)
		var text string
		switch {
		case m.Service == "" && m.Came:
			text = "the registry is back"
		case m.Service == "":
			text = "the registry is away, and what was known goes on: " + m.Why
		case m.Came:
			text = fmt.Sprintf("%s came, %d now", name, m.Left)
		case !asked:
			text = fmt.Sprintf("%s went, %d left", name, m.Left)
		default:
			text = fmt.Sprintf("%s went %v after it was %s, %d left", name, after, e.Act, m.Left)
		}
		all = append(all, changed(m.At, start, text))
	}
	slices.SortStableFunc(all, func(a, b change) int { return a.at.Compare(b.at) })
	return all
}

func changed(at, start time.Time, text string) change {
	return change{at, fmt.Sprintf("%6s  %s", fmt.Sprintf("+%.1fs", at.Sub(start).Seconds()), text)}
}

func showChanges(out io.Writer, all []change) {
	if len(all) == 0 {
		return
	}
	say(out, "\n  changes\n")
	if more := len(all) - maxMoves; more > 0 {
		say(out, "  (%d before these)\n", more)
		all = all[more:]
	}
	for _, c := range all {
		say(out, "  %s\n", c.text)
	}
}

// address returns where an instance is called: none speaks two protocols.
func address(i app.Instance) string { return i.Addresses.GRPC + i.Addresses.HTTP }

// maxMoves is how many changes are shown at the end: the last ones.
const maxMoves = 60

// showBooks prints whether the services' books agree, and returns an error if not.
func showBooks(ctx context.Context, out io.Writer, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	b, err := audit.Read(ctx, dir)
	if err != nil {
		return err
	}
	say(out, "\nthe books: %d orders confirmed for %d.%02d, each reserved and charged once; %d rejected, %d pending, %d charges without a confirmed order\n",
		b.Confirmed, b.Cents/100, b.Cents%100, b.Rejected, b.Pending, b.Unclaimed)
	for _, w := range b.Wrong {
		say(out, "  WRONG: %s\n", w)
	}
	if len(b.Wrong) > 0 {
		return fmt.Errorf("the books do not agree: %s", b.Wrong[0])
	}
	return nil
}

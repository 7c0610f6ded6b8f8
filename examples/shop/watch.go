// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

// The roles of the requests that are shown.
const (
	slow    = "slow"
	failed  = "failed"
	retried = "retried"
	refused = "refused"
)

// roles are in the order in which they are shown.
var roles = []string{slow, failed, retried, refused}

// maxChanges is how many changes of breakers are shown at the end: the last ones.
const maxChanges = 20

// scrapeTimeout bounds reading the metrics at the end.
const scrapeTimeout = 5 * time.Second

// watcher looks at a run while it goes on, and keeps what is worth a second look.
// It is for one goroutine at a time.
type watcher struct {
	traces *report.Keeper
	news   report.Newspaper

	shown int // changes that have been shown
	// recent are requests that may not be over yet, by role.
	recent map[string]string
}

func newWatcher(shop app.Shop, traces *report.Keeper) *watcher {
	return &watcher{traces: traces, news: shop.News(), recent: make(map[string]string)}
}

// look keeps the requests that are worth it and returns what is new, in lines.
func (w *watcher) look(ctx context.Context, s load.Snapshot) []string {
	w.traces.Keep(ctx, slow, s.Slowest.TraceID)
	w.traces.Keep(ctx, failed, s.Failed.TraceID)
	news, err := w.news.News(ctx)
	if err != nil {
		return nil // the next look has it
	}
	for role, id := range map[string]string{retried: news.Retried, refused: news.Refused} {
		w.traces.Keep(ctx, role, w.recent[role]) // by now it is over
		w.recent[role] = id
	}
	var lines []string
	for _, c := range news.Changes[min(w.shown, len(news.Changes)):] {
		lines = append(lines, c.Line(s.Start))
	}
	w.shown = len(news.Changes)
	return lines
}

// finish keeps the last requests, now that all are over.
func (w *watcher) finish(ctx context.Context, s load.Snapshot) {
	w.look(ctx, s)
	w.look(ctx, s)
}

// showPolicies prints what the policies did.
// past is what those of instances did that have ended.
func showPolicies(ctx context.Context, out io.Writer, shop app.Shop, past report.Policies, s load.Snapshot) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), scrapeTimeout)
	defer cancel()
	p, err := readPolicies(ctx, shop.Instances()...)
	p.Add(past)
	if err != nil {
		say(out, "\nnot all metrics could be read: %v\n", err)
	}
	say(out, "\nwhat the policies did\n\n%s", p.Render())
	if charged := p.Client(app.Order, app.Payment).Calls; charged > 0 {
		say(out, "\n  %s received %d requests for %d charges: %.2f for each\n", app.Payment,
			p.Server(app.Payment).Received, charged, p.Amplification(app.Order, app.Payment))
	}
	news, err := shop.News().News(ctx)
	if err != nil {
		say(out, "\nthe breakers' changes could not be read: %v\n", err)
	}
	if len(news.FellBack) > 0 {
		say(out, "\n  degraded answers: %s\n", report.Counts(news.FellBack))
	}
	if len(news.Changes) == 0 {
		return
	}
	say(out, "\n  breakers\n")
	if more := len(news.Changes) - maxChanges; more > 0 {
		say(out, "  (%d changes before these)\n", more)
		news.Changes = news.Changes[more:]
	}
	for _, c := range news.Changes {
		say(out, "  %s\n", c.Line(s.Start))
	}
}

// readPolicies reads the metrics of instances.
func readPolicies(ctx context.Context, instances ...app.Instance) (report.Policies, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var services []report.Metrics
	for _, i := range instances {
		services = append(services, report.Metrics{Service: i.Name, URL: fmt.Sprintf("http://%s/metrics", i.Admin)})
	}
	return report.ReadPolicies(ctx, client, services...)
}

// showTraces prints the requests that are worth a look.
func showTraces(out io.Writer, traces *report.Keeper) {
	for _, role := range roles {
		if t := traces.Kept(role); t != nil {
			say(out, "\na %s request\n%s", role, t.Render())
		}
	}
}

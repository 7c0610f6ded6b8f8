// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
)

// maxChanges bounds how many changes a Journal keeps: the last ones.
const maxChanges = 1000

// Change is a breaker that changed its state.
type Change struct {
	At time.Time `json:"at"`
	// Service is whose breaker it is, and Name what it protects from.
	Service string `json:"service"`
	Name    string `json:"name"`
	From    string `json:"from"`
	To      string `json:"to"`
	// Reason says why, and OpenFor for how long, if it opened.
	Reason  string        `json:"reason"`
	OpenFor time.Duration `json:"open_for_ns,omitempty"`
	// TraceID is the request that made the difference; may be empty.
	TraceID string `json:"trace_id,omitempty"`
}

// News is what a [Journal] has to tell.
type News struct {
	// Changes are in the order in which they happened.
	Changes []Change `json:"changes"`
	// Retried is the trace of the last request that succeeded because it was sent
	// again, and Refused of the last one that an open breaker refused. Both may be
	// empty.
	Retried string `json:"retried,omitempty"`
	Refused string `json:"refused,omitempty"`
	// FellBack counts degraded replies, by service and fallback: "gateway: stock
	// unknown".
	FellBack map[string]int `json:"fell_back,omitempty"`
}

// Newspaper has news.
type Newspaper interface {
	// News returns all that there are so far.
	News(ctx context.Context) (News, error)
}

// Journal writes down what the policies of a process decide and metrics do not
// tell: when, and for which request. Make it with [NewJournal]. It is safe for
// concurrent use.
type Journal struct {
	mu   sync.Mutex
	news News
}

var _ Newspaper = (*Journal)(nil)

// NewJournal returns an empty journal.
func NewJournal() *Journal { return &Journal{news: News{FellBack: make(map[string]int)}} }

// Observer returns the observer that writes down what the policies of a service
// decide.
func (j *Journal) Observer(service string) resilience.Observer {
	return resilience.Observer{
		StateChanged: func(_ context.Context, e resilience.StateChange) {
			j.mu.Lock()
			defer j.mu.Unlock()
			if len(j.news.Changes) == maxChanges {
				j.news.Changes = slices.Delete(j.news.Changes, 0, 1)
			}
			j.news.Changes = append(j.news.Changes, Change{
				At: time.Now(), Service: service, Name: e.Name, From: e.From.String(), To: e.To.String(),
				Reason: e.Reason, OpenFor: e.OpenFor, TraceID: e.TraceID,
			})
		},
		Attempted: func(ctx context.Context, e resilience.Attempt) {
			if e.Policy == resilience.PolicyRetry && e.Number > 1 && e.Outcome == resilience.OutcomeOK {
				j.note(ctx, &j.news.Retried)
			}
		},
		FellBack: func(_ context.Context, e resilience.Fallback) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.news.FellBack[service+": "+e.Name]++
		},
		Rejected: func(ctx context.Context, e *resilience.RejectedError) {
			if e.Policy == resilience.PolicyBreaker && !e.Remote {
				j.note(ctx, &j.news.Refused)
			}
		},
	}
}

// note writes down the request of ctx in a role.
func (j *Journal) note(ctx context.Context, role *string) {
	if id := ctxutil.TraceID(ctx); id != "" {
		j.mu.Lock()
		defer j.mu.Unlock()
		*role = id
	}
}

// News implements [Newspaper].
func (j *Journal) News(context.Context) (News, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := j.news
	out.Changes, out.FellBack = slices.Clone(j.news.Changes), maps.Clone(j.news.FellBack)
	return out, nil
}

// OldNews returns a newspaper that has this news, and no other.
func OldNews(n News) Newspaper { return oldNews{n} }

type oldNews struct{ news News }

func (o oldNews) News(context.Context) (News, error) { return o.news, nil }

// MergeNews returns what has the news of all papers. One that cannot be had is
// passed over if there is another.
func MergeNews(papers ...Newspaper) Newspaper { return mergedNews(papers) }

type mergedNews []Newspaper

func (m mergedNews) News(ctx context.Context) (all News, err error) {
	had := false
	all.FellBack = make(map[string]int)
	for _, paper := range m {
		news, paperErr := paper.News(ctx)
		if paperErr != nil {
			err = paperErr
			continue
		}
		had = true
		all.Changes = append(all.Changes, news.Changes...)
		for name, n := range news.FellBack {
			all.FellBack[name] += n
		}
		all.Retried = later(all.Retried, news.Retried)
		all.Refused = later(all.Refused, news.Refused)
	}
	slices.SortStableFunc(all.Changes, func(a, b Change) int { return a.At.Compare(b.At) })
	if had {
		return all, nil
	}
	return all, err
}

// later returns the second if there is one.
func later(first, second string) string {
	if second != "" {
		return second
	}
	return first
}

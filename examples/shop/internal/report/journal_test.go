// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
	"github.com/fairlead-go/fairlead/resilience"
)

// request returns the context of a request, and its trace id.
func request(t *testing.T) (context.Context, string) {
	t.Helper()
	ctx, span := sdktrace.NewTracerProvider().Tracer("t").Start(t.Context(), "request")
	t.Cleanup(func() { span.End() })
	return ctx, span.SpanContext().TraceID().String()
}

func TestJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := report.NewJournal()
		order := j.Observer("order")
		first, _ := request(t)
		second, retried := request(t)
		third, refused := request(t)

		order.Attempted(first, resilience.Attempt{Policy: resilience.PolicyRetry, Number: 1, Outcome: resilience.OutcomeOK})
		order.Attempted(second, resilience.Attempt{Policy: resilience.PolicyRetry, Number: 2, Outcome: resilience.OutcomeOK})
		order.Attempted(third, resilience.Attempt{Policy: resilience.PolicyRetry, Number: 2, Outcome: resilience.OutcomeTransient})
		order.Attempted(third, resilience.Attempt{Policy: resilience.PolicyHedge, Number: 2, Outcome: resilience.OutcomeOK})
		order.Rejected(third, &resilience.RejectedError{Policy: resilience.PolicyBreaker})
		order.Rejected(first, &resilience.RejectedError{Policy: resilience.PolicyBulkhead})
		order.Rejected(first, &resilience.RejectedError{Policy: resilience.PolicyBreaker, Remote: true})
		order.FellBack(first, resilience.Fallback{Name: "stock unknown"})
		order.StateChanged(first, resilience.StateChange{
			Name: "payment", From: resilience.StateClosed, To: resilience.StateOpen,
			Reason: "failure ratio 0.62 of 50 calls", OpenFor: 2 * time.Second, TraceID: "4bf9",
		})

		got, err := j.News(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := report.News{
			Changes: []report.Change{{
				At: time.Now(), Service: "order", Name: "payment", From: "closed", To: "open",
				Reason: "failure ratio 0.62 of 50 calls", OpenFor: 2 * time.Second, TraceID: "4bf9",
			}},
			Retried: retried, Refused: refused, FellBack: map[string]int{"order: stock unknown": 1},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("news (-want +got):\n%s", diff)
		}
		const line = " +1.5s  order → payment: breaker closed → open for 2s: failure ratio 0.62 of 50 calls  trace 4bf9"
		if got := want.Changes[0].Line(time.Now().Add(-1500 * time.Millisecond)); got != line {
			t.Errorf("line\n%q, want\n%q", got, line)
		}
	})
}

func TestJournalIsBounded(t *testing.T) {
	j := report.NewJournal()
	observer := j.Observer("order")
	for range 1500 {
		observer.StateChanged(t.Context(), resilience.StateChange{Name: "early"})
	}
	observer.StateChanged(t.Context(), resilience.StateChange{Name: "last"})
	news, _ := j.News(t.Context())
	if n := len(news.Changes); n != 1000 || news.Changes[n-1].Name != "last" {
		t.Errorf("%d changes, the last of them %v", n, news.Changes[n-1])
	}
}

// noPaper cannot be had.
type noPaper struct{}

var errNoPaper = errors.New("out of print")

func (noPaper) News(context.Context) (report.News, error) { return report.News{}, errNoPaper }

func TestNewsOfSeveralProcesses(t *testing.T) {
	gateway, order := report.NewJournal(), report.NewJournal()
	changed := resilience.StateChange{Name: "payment"}
	ctx, trace := request(t)
	order.Observer("order").StateChanged(ctx, changed)
	gateway.Observer("gateway").StateChanged(ctx, changed)
	order.Observer("order").StateChanged(ctx, changed)
	order.Observer("order").FellBack(ctx, resilience.Fallback{Name: "a"})
	gateway.Observer("gateway").FellBack(ctx, resilience.Fallback{Name: "b"})
	order.Observer("order").Rejected(ctx, &resilience.RejectedError{Policy: resilience.PolicyBreaker})
	srv := httptest.NewServer(report.Handler(stub{}, order))
	defer srv.Close()

	remote := report.Remote{Base: srv.URL, Client: srv.Client()}
	news, err := report.MergeNews(gateway, noPaper{}, remote).News(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var who []string
	for _, c := range news.Changes {
		who = append(who, c.Service)
	}
	if got := strings.Join(who, " "); got != "order gateway order" || news.Refused != trace {
		t.Errorf("changes of %s, refused %q; want them in the order of time, and the trace", got, news.Refused)
	}
	if diff := cmp.Diff(map[string]int{"order: a": 1, "gateway: b": 1}, news.FellBack); diff != "" {
		t.Errorf("fell back (-want +got):\n%s", diff)
	}
	if _, err := report.MergeNews(noPaper{}).News(t.Context()); !errors.Is(err, errNoPaper) {
		t.Errorf("no paper at all: %v", err)
	}
}

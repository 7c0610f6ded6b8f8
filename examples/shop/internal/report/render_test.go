// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

func TestRender(t *testing.T) {
	trace := &report.Trace{
		ID: "4bf92f3577b34da6a3ce929d0e0e4736",
		Spans: []report.Span{
			{ID: "aaaaaaaa11111111", Service: "gateway", Name: "POST /orders", Kind: "server", Start: at(0), Duration: 12 * time.Millisecond},
			{ID: "bbbbbbbb11111111", ParentID: "aaaaaaaa11111111", Service: "order", Name: "PlaceOrder", Kind: "server", Start: at(1),
				Duration: 10 * time.Millisecond, Failed: true, Message: "no\x1b[31m\nmore",
				Events: []report.Event{{At: at(4), Name: "retry", Text: `attempt=1  outcome="transient"`}}},
			{ID: "cccccccc11111111", ParentID: "bbbbbbbb11111111", Service: "order", Name: "insert", Kind: "client", Start: at(2),
				Events: []report.Event{{At: at(3), Name: "last"}}},
			{ID: "dddddddd11111111", ParentID: "aaaaaaaa11111111", Service: "gateway", Name: "late", Kind: "internal", Start: at(11)},
			{ID: "eeeeeeee11111111", ParentID: "ffffffff11111111", Service: "notify", Name: "mail", Kind: "consumer", Start: at(20)},
		},
		Lines: []json.RawMessage{
			json.RawMessage(`{"time":"1970-01-01T00:00:00.003Z","level":"INFO","msg":"reserved","trace_id":"x","span_id":"bbbbbbbb11111111","service.name":"order","sku":"mug","n":2}`),
			json.RawMessage(`{"time":"1970-01-01T00:00:00.004Z","level":"ERROR","msg":"stray","span_id":"0123456789abcdef","service.name":"order","stack":"` + strings.Repeat("s", 200) + `"}`),
			json.RawMessage(`not JSON`),
		},
		Dropped: 7,
	}
	const want = `trace 4bf92f3577b34da6a3ce929d0e0e4736: 5 spans of 3 services, 3 log lines
(7 more were too many to keep)
├─ gateway  POST /orders  server      +0.0ms    12.0ms  aaaaaaaa
│  ├─ order  PlaceOrder   server      +1.0ms    10.0ms  bbbbbbbb  ERROR no [31m more
│  │  │  • +4.0ms retry  attempt=1  outcome="transient"
│  │  └─ order  insert    client      +2.0ms     0.0ms  cccccccc
│  │        • +3.0ms last
│  └─ gateway  late       internal   +11.0ms     0.0ms  dddddddd
└─ notify  mail           consumer   +20.0ms     0.0ms  eeeeeeee  (parent ffffffff is not here)
    +3.0ms  bbbbbbbb  order     INFO  reserved  sku="mug"  n=2
    +4.0ms  01234567  order     ERROR stray  stack="%s…  (span is not here)
                                      not JSON  (span is not here)
`
	if diff := cmp.Diff(fmt.Sprintf(want, strings.Repeat("s", 79)), trace.Render()); diff != "" {
		t.Errorf("Render (-want +got):\n%s", diff)
	}
}

func TestRenderOfNonsense(t *testing.T) {
	for name, trace := range map[string]*report.Trace{
		"empty":      {},
		"own parent": {Spans: []report.Span{{ID: "a", ParentID: "a"}}},
		"a circle":   {Spans: []report.Span{{ID: "a", ParentID: "b"}, {ID: "b", ParentID: "a"}}},
		"same ids":   {Spans: []report.Span{{ID: "a"}, {ID: "a", ParentID: "b"}, {ID: "b", ParentID: "a"}}},
		"odd lines":  {Lines: []json.RawMessage{[]byte(`[]`), []byte(`{`), []byte(`{"a"`), []byte(`7`), nil}},
	} {
		if got := trace.Render(); len(got) > 1<<16 {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 11*time.Second+time.Millisecond)
		defer cancel()
		var out strings.Builder
		looks := 0
		report.Progress(ctx, &out, func() load.Snapshot { return load.Snapshot{Done: 7} }, func(load.Snapshot) []string {
			looks++
			return []string{"news"}
		})
		if news := strings.Count(out.String(), "news\n"); looks != 12 || news != 12 { // each second and at the end
			t.Errorf("looked %d times in 11s and showed %d, want 12", looks, news)
		}
		if lines := strings.Count(out.String(), "7 requests"); lines != 4 { // at 1s, 5s, 10s and at the end
			t.Errorf("%d lines, want 4:\n%s", lines, out.String())
		}
	})
}

func TestSummary(t *testing.T) {
	got := report.Summary(load.Snapshot{
		Started: 12, Done: 10, Elapsed: 5 * time.Second, P50: 1234567 * time.Nanosecond, P99: 1010 * time.Millisecond,
		Outcomes:   map[load.Outcome]int{load.OK: 7, load.Deadline: 1, load.Declined: 1, load.ServerFault: 1},
		Unexpected: 1, LastUnexpected: load.Result{Scenario: "order", Outcome: load.Deadline},
	})
	const want = "    5s  10 requests, 2 under way  2/s  p50 1.23ms  p99 1.01s " +
		" ok 7 deadline 1 declined 1 server fault 1  UNEXPECTED 1 (order: deadline)"
	if got != want {
		t.Errorf("Summary =\n%q, want\n%q", got, want)
	}
}

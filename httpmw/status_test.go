// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// meanings is the table of status.go, said again in another way.
var meanings = []struct {
	from, to int
	outcome  resilience.Outcome
	why      string
}{
	{-1, 99, resilience.OutcomeServerFault, "no status code"},
	{100, 399, resilience.OutcomeOK, "the server did what was asked, or says where to ask"},
	{400, 424, resilience.OutcomeClientFault, "the same request fails again"},
	{425, 425, resilience.OutcomeTransient, "too early: the same request may succeed in a moment"},
	{426, 428, resilience.OutcomeClientFault, ""},
	{429, 429, resilience.OutcomeOverload, "too many requests"},
	{430, 498, resilience.OutcomeClientFault, ""},
	{499, 499, resilience.OutcomeCanceled, "the caller went away"},
	{500, 502, resilience.OutcomeServerFault, ""},
	{503, 503, resilience.OutcomeTransient, "the server asks for patience"},
	{504, 504, resilience.OutcomeCallerDeadline, "unless it is known whose limit it was"},
	{505, 1000, resilience.OutcomeServerFault, "and what is of no class"},
}

func TestOutcomeOf(t *testing.T) {
	for _, m := range meanings {
		for code := m.from; code <= m.to; code++ {
			if got := httpmw.OutcomeOf(code); got != m.outcome {
				t.Errorf("%d means %v, want %v: %s", code, got, m.outcome, m.why)
			}
		}
	}
}

// TestEveryStatusIsRecorded: on both sides, what stands in status.go is what
// spans, lines and metrics say.
func TestEveryStatusIsRecorded(t *testing.T) {
	g := newRig(t)
	code := 0
	server := g.served(handle("GET /", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
	codes := []int{600, 999}
	for c := 200; c < 600; c++ {
		codes = append(codes, c)
	}
	for _, code = range codes {
		direct(server, httptest.NewRequest(http.MethodGet, "/", nil))
		if _, err := g.roundTrip(t.Context(), answers(code, http.NoBody)); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	for _, l := range g.settle().Logs().All() {
		v, _ := l.Attr("http.response.status_code")
		code := int(v.(float64))
		want, failed := any(nil), code >= 500 || code >= 400 && l.Message == record.MessageHTTPClient
		if failed {
			want = strconv.Itoa(code)
		}
		if code > 599 {
			want = "_OTHER"
		}
		outcome := any(nil)
		if o := httpmw.OutcomeOf(code); o != resilience.OutcomeOK {
			outcome = o.String()
		}
		if code == http.StatusGatewayTimeout { // with time left: the server's own limit
			outcome = resilience.OutcomeTimeout.String()
		}
		wantLine(t, l, map[string]any{"error.type": want, "outcome": outcome})
		seen[l.Message]++
	}
	if len(seen) != 2 || seen[record.MessageHTTPServer] != len(codes) || seen[record.MessageHTTPClient] != len(codes) {
		t.Errorf("lines: %v, want %d of each", seen, len(codes))
	}
}

// TestRefusedStatus: what a policy of this process refused is no fault of it.
func TestRefusedStatus(t *testing.T) {
	for _, tc := range []struct {
		code    int
		outcome any
	}{
		{200, nil}, {429, "rejected"}, {503, "rejected"}, {504, "rejected"},
	} {
		t.Run(strconv.Itoa(tc.code), func(t *testing.T) {
			g := newRig(t)
			direct(g.served(handle("GET /", func(w http.ResponseWriter, r *http.Request) {
				record.FromContext(r.Context()).NoteRefused()
				w.WriteHeader(tc.code)
			})), httptest.NewRequest(http.MethodGet, "/", nil))
			wantLine(t, g.line(g.server()), map[string]any{"outcome": tc.outcome})
		})
	}
}

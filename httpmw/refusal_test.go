// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// wireRows is how a refusal by each policy travels.
var wireRows = []struct {
	policy  resilience.Policy
	code    int
	title   string // of the status
	detail  string
	matches error // on the far side
}{
	{resilience.PolicyBreaker, 503, "Service Unavailable", "circuit breaker open", gobreaker.ErrOpenState},
	{resilience.PolicyRateLimit, 429, "Too Many Requests", "rate limited", resilience.ErrRateLimited},
	{resilience.PolicyConcurrency, 429, "Too Many Requests", "too many requests at once", resilience.ErrOverloaded},
	{resilience.PolicyBulkhead, 503, "Service Unavailable", "bulkhead full", resilience.ErrOverloaded},
	{resilience.PolicyShed, 503, "Service Unavailable", "overloaded", resilience.ErrOverloaded},
	{resilience.PolicyDeadline, 504, "Gateway Timeout", "deadline budget exhausted", ctxutil.ErrBudgetExhausted},
	{resilience.PolicyDiscovery, 503, "Service Unavailable", "no endpoints", resilience.ErrNoEndpoints},
}

// sentinels are all that a refusal can match.
var sentinels = []error{
	gobreaker.ErrOpenState, resilience.ErrRateLimited, resilience.ErrOverloaded, ctxutil.ErrBudgetExhausted, resilience.ErrNoEndpoints,
}

// wire is all that a peer is told of another attempt and of what went wrong, but for
// the ids.
func wire(w *httptest.ResponseRecorder) string {
	out := fmt.Sprint(w.Code)
	for _, k := range []string{"Content-Type", "Retry-After", "X-Retry-Pushback-Ms"} {
		if v := w.Header()[k]; v != nil {
			out += fmt.Sprintf(" %s: %q", k, v)
		}
	}
	return out + " " + strings.TrimSpace(w.Body.String())
}

// answersWith is a handler that ends with err.
func answersWith(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { httpmw.WriteError(w, r, err) })
}

func request() *http.Request { return httptest.NewRequest(http.MethodGet, "/", nil) }

// TestRefusalOnTheWire: what a peer gets of a refusal that a handler passes on, to the
// letter, whatever it wrapped it in.
func TestRefusalOnTheWire(t *testing.T) {
	const internal = "10.0.0.7:5432"
	wrap := map[string]func(error) error{
		"as it is": func(err error) error { return err },
		"wrapped":  func(err error) error { return fmt.Errorf("charging at %s: %w", internal, err) },
		"joined":   func(err error) error { return errors.Join(errors.New(internal), err) },
		"twice":    func(err error) error { return fmt.Errorf("%s: %w", internal, fmt.Errorf("%s: %w", internal, err)) },
	}
	for _, row := range wireRows {
		for how, wrap := range wrap {
			t.Run(fmt.Sprintf("%s/%s", row.policy, how), func(t *testing.T) {
				w := direct(answersWith(wrap(&resilience.RejectedError{
					Policy: row.policy, Name: internal, Reason: "so it is", RetryAfter: 1500*time.Millisecond + 1, Err: errors.New(internal),
				})), request())
				want := fmt.Sprintf(`%d Content-Type: ["application/problem+json"] Retry-After: ["2"] X-Retry-Pushback-Ms: ["1501"] `+
					`{"detail":"%s","policy":"%s","reason":"so it is","status":%d,"title":"%s","type":"tag:fairlead-go.github.io,2026:rejected"}`,
					row.code, row.detail, row.policy, row.code, row.title)
				if got := wire(w); got != want {
					t.Errorf("the peer got  %s\nwant          %s", got, want)
				}
				if all := fmt.Sprint(w.Header(), w.Body); strings.Contains(all, "10.0.0.7") {
					t.Errorf("the peer learns of what is inside: %s", all)
				}
			})
		}
	}
}

// TestPushbackOnTheWire: how long to wait, or not to come back.
func TestPushbackOnTheWire(t *testing.T) {
	rejected := func(after time.Duration) error {
		return &resilience.RejectedError{Policy: resilience.PolicyShed, RetryAfter: after}
	}
	inVain := func(reason string, last error) error {
		return &resilience.AttemptsError{Attempts: 3, Reason: reason, Last: last}
	}
	const (
		shed  = `{"detail":"overloaded","policy":"shed","status":503,"title":"Service Unavailable","type":"tag:fairlead-go.github.io,2026:rejected"}`
		media = `Content-Type: ["application/problem+json"] `
		fault = `{"status":500,"title":"Internal Server Error","type":"about:blank"}`
	)
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing known", rejected(0), `503 ` + media + shed},
		{"no time at all", rejected(-time.Second), `503 ` + media + shed},
		{"rounded up", rejected(1), `503 ` + media + `Retry-After: ["1"] X-Retry-Pushback-Ms: ["1"] ` + shed},
		{"whole", rejected(2 * time.Second), `503 ` + media + `Retry-After: ["2"] X-Retry-Pushback-Ms: ["2000"] ` + shed},
		{"bounded", rejected(math.MaxInt64), `503 ` + media + `Retry-After: ["86400"] X-Retry-Pushback-Ms: ["86400000"] ` + shed},
		{"retried in vain", inVain(retry.ReasonExhausted, errors.New("down")), `500 ` + media + `X-Retry-Pushback-Ms: ["-1"] ` + fault},
		{"retried in vain, refused", inVain(retry.ReasonBudget, rejected(time.Second)), `503 ` + media + `Retry-After: ["1"] X-Retry-Pushback-Ms: ["-1"] ` + shed},
		{"retried in vain, wrapped", fmt.Errorf("x: %w", inVain(retry.ReasonPushback, rejected(0))), `503 ` + media + `X-Retry-Pushback-Ms: ["-1"] ` + shed},
		{"not retried, because the caller does", inVain(retry.ReasonNested, rejected(time.Second)), `503 ` + media + `Retry-After: ["1"] X-Retry-Pushback-Ms: ["1000"] ` + shed},
		{"not retried, for want of time", inVain(retry.ReasonDeadline, errors.New("down")), `500 ` + media + fault},
		{"an error of a handler", errors.New("down"), `500 ` + media + fault},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := wire(direct(answersWith(tc.err), request())); got != tc.want {
				t.Errorf("the peer got  %s\nwant          %s", got, tc.want)
			}
		})
	}
}

// TestOnlySafeWordsTravel: what an odd policy says is not repeated.
func TestOnlySafeWordsTravel(t *testing.T) {
	const shed = `{"detail":"overloaded","policy":"shed","status":503,"title":"Service Unavailable","type":"tag:fairlead-go.github.io,2026:rejected"}`
	for _, tc := range []struct {
		name   string
		policy resilience.Policy
		reason string
		want   string
	}{
		{"invalid UTF-8", resilience.PolicyShed, "a\xff", shed},
		{"lines", resilience.PolicyShed, "a\nb", shed},
		{"long", resilience.PolicyShed, strings.Repeat("a", 65), shed},
		{"as long as may be", resilience.PolicyShed, strings.Repeat("a", 64), strings.Replace(shed, `"status"`, `"reason":"`+strings.Repeat("a", 64)+`","status"`, 1)},
		{"what JSON quotes", resilience.PolicyShed, `<"\>`, strings.Replace(shed, `"status"`, `"reason":"\u003c\"\\\u003e","status"`, 1)},
		{"a policy of somebody's", "quota", "used up", `{"detail":"rejected","policy":"quota","reason":"used up","status":503,"title":"Service Unavailable","type":"tag:fairlead-go.github.io,2026:rejected"}`},
		{"a policy with an odd name", "\xff", "", `{"detail":"rejected","status":503,"title":"Service Unavailable","type":"tag:fairlead-go.github.io,2026:rejected"}`},
		{"a policy that refuses nothing", resilience.PolicyRetry, "", `{"detail":"rejected","policy":"retry","status":503,"title":"Service Unavailable","type":"tag:fairlead-go.github.io,2026:rejected"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := direct(answersWith(&resilience.RejectedError{Policy: tc.policy, Reason: tc.reason}), request())
			if got := strings.TrimSpace(w.Body.String()); got != tc.want || w.Code != 503 {
				t.Errorf("the peer got  %d %s\nwant          %s", w.Code, got, tc.want)
			}
		})
	}
}

// TestWriteError: what stands for errors that are no refusals.
func TestWriteError(t *testing.T) {
	answered := func(code int) error { return &httpmw.StatusError{StatusCode: code, Server: "10.0.0.7:80"} }
	for _, tc := range []struct {
		name string
		err  error
		want int
	}{
		{"any", errors.New("disk on fire at 10.0.0.7"), 500},
		{"deadline", fmt.Errorf("query at 10.0.0.7: %w", context.DeadlineExceeded), 504},
		{"canceled", context.Canceled, 503},
		{"a budget spent below", fmt.Errorf("10.0.0.7: %w", &ctxutil.BudgetError{}), 504},
		{"400 of another", answered(400), 500},
		{"404 of another", answered(404), 500},
		{"425 of another", answered(425), 503},
		{"429 of another, made by hand", answered(429), 503},
		{"499 of another", answered(499), 500},
		{"500 of another", answered(500), 502},
		{"502 of another", answered(502), 502},
		{"503 of another", answered(503), 503},
		{"504 of another", fmt.Errorf("10.0.0.7: %w", answered(504)), 504},
		{"505 of another", answered(505), 502},
		{"999 of another", answered(999), 502},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := direct(answersWith(tc.err), request())
			if w.Code != tc.want {
				t.Errorf("status %d, want %d", w.Code, tc.want)
			}
			if all := fmt.Sprint(w.Header(), w.Body); strings.Contains(all, "10.0.0.7") {
				t.Errorf("the peer learns of what is inside: %s", all)
			}
		})
	}
	t.Run("nil", func(t *testing.T) {
		if w := direct(answersWith(nil), request()); w.Code != 200 || w.Body.Len() != 0 || len(w.Header()) != 0 {
			t.Errorf("something was written: %d %v %s", w.Code, w.Header(), w.Body)
		}
	})
	t.Run("too late", func(t *testing.T) {
		g := newRig(t)
		w := direct(g.served(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "begun")
			httpmw.WriteError(w, r, &resilience.RejectedError{Policy: resilience.PolicyShed, RetryAfter: time.Second})
		})), request())
		if w.Code != 200 || w.Body.String() != "begun" || w.Header().Get("Retry-After") != "" {
			t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
		}
	})
	t.Run("with a page", func(t *testing.T) {
		page := httpmw.WithErrorPage(func(w io.Writer, _ *http.Request, p httpmw.Problem) error {
			_, err := fmt.Fprintf(w, "<p>%s", p.Detail)
			return err
		})
		r := request()
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		httpmw.WriteError(w, r, &resilience.RejectedError{Policy: resilience.PolicyShed}, page)
		if w.Body.String() != "<p>overloaded" {
			t.Errorf("got %s", w.Body)
		}
	})
}

// refusalAnswer is an answer that tells of a refusal.
func refusalAnswer(code int, body string, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/problem+json")
	return &http.Response{
		StatusCode: code, Header: header, Body: io.NopCloser(strings.NewReader(body)),
		Request: httptest.NewRequest(http.MethodGet, "http://inventory:8080/stock", nil),
	}
}

// TestReconstruction: the caller's side of the table.
func TestReconstruction(t *testing.T) {
	for _, row := range wireRows {
		t.Run(string(row.policy), func(t *testing.T) {
			err := httpmw.CheckResponse(refusalAnswer(row.code,
				`{"type":"tag:fairlead-go.github.io,2026:rejected","policy":"`+string(row.policy)+`","reason":"so it is","more":[1]}`,
				http.Header{"Retry-After": {"2"}, "X-Retry-Pushback-Ms": {"1500"}}))
			got, ok := errors.AsType[*resilience.RejectedError](err)
			if !ok {
				t.Fatalf("err = %v, want one with a RejectedError", err)
			}
			want := &resilience.RejectedError{Policy: row.policy, Name: "inventory:8080", Reason: "so it is", RetryAfter: 1500 * time.Millisecond, Remote: true}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, s := range sentinels {
				if got, want := errors.Is(err, s), s == row.matches; got != want {
					t.Errorf("errors.Is(err, %v) = %v, want %v", s, got, want)
				}
			}
			answer, ok := errors.AsType[*httpmw.StatusError](err)
			if !ok || answer.Outcome() != httpmw.OutcomeOf(row.code) || answer.StatusCode != row.code || answer.Server != "inventory:8080" || answer.Problem.Status != row.code || answer.Problem.Title != row.title {
				t.Errorf("err = %+v", answer)
			}
			text := fmt.Sprintf(`inventory:8080 answered %d %s: %s "inventory:8080" (remote): so it is; retry after 1.5s`, row.code, row.title, row.policy)
			if err.Error() != text {
				t.Errorf("the text is %q\nwant        %q", err, text)
			}
		})
	}
}

// TestWhatIsNoRefusal: nothing is made of what does not say clearly that it is one.
func TestWhatIsNoRefusal(t *testing.T) {
	const rejected = `"type":"tag:fairlead-go.github.io,2026:rejected"`
	for _, tc := range []struct {
		name string
		resp *http.Response
	}{
		{"success", refusalAnswer(200, `{`+rejected+`,"policy":"shed"}`, nil)},
		{"a redirect", refusalAnswer(303, `{`+rejected+`,"policy":"shed"}`, nil)},
		{"another type", refusalAnswer(503, `{"type":"about:blank","policy":"shed"}`, nil)},
		{"no type", refusalAnswer(503, `{"policy":"shed"}`, nil)},
		{"no policy", refusalAnswer(503, `{`+rejected+`}`, nil)},
		{"a policy to come", refusalAnswer(503, `{`+rejected+`,"policy":"moon"}`, nil)},
		{"a policy that refuses nothing", refusalAnswer(503, `{`+rejected+`,"policy":"retry"}`, nil)},
		{"a policy of another type", refusalAnswer(503, `{`+rejected+`,"policy":["shed"]}`, nil)},
		{"broken", refusalAnswer(503, `{`+rejected+`,"policy":"shed"`, nil)},
		{"no body", &http.Response{StatusCode: 503, Header: http.Header{"Content-Type": {"application/problem+json"}}}},
		{"text", &http.Response{StatusCode: 503, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{` + rejected + `,"policy":"shed"}`))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := httpmw.CheckResponse(tc.resp)
			if e, ok := errors.AsType[*resilience.RejectedError](err); ok {
				t.Errorf("a refusal was made of it: %v", e)
			}
			if (err == nil) != (tc.resp.StatusCode < 400) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

// TestTooManyRequestsIsRateLimited by itself (RFC 6585), whoever says so.
func TestTooManyRequestsIsRateLimited(t *testing.T) {
	resp := refusalAnswer(429, "slow down", http.Header{"Retry-After": {"7"}})
	resp.Header.Set("Content-Type", "text/plain")
	err := httpmw.CheckResponse(resp)
	got, _ := errors.AsType[*resilience.RejectedError](err)
	want := &resilience.RejectedError{Policy: resilience.PolicyRateLimit, Name: "inventory:8080", Reason: "rate limited", RetryAfter: 7 * time.Second, Remote: true}
	if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, resilience.ErrRateLimited) {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if rest, _ := io.ReadAll(resp.Body); string(rest) != "slow down" {
		t.Errorf("the body was read, %q is left", rest)
	}
}

// TestWhatPeersSayIsBounded: a refusal says no more than it should, whatever the peer
// says.
func TestWhatPeersSayIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		for _, tc := range []struct {
			name   string
			reason string // in JSON
			header http.Header
			want   resilience.RejectedError
		}{
			{"no reason", `""`, nil, resilience.RejectedError{Reason: "overloaded"}},
			{"lines", `"a\r\nb"`, nil, resilience.RejectedError{Reason: "overloaded"}},
			{"not ASCII", `"ü"`, nil, resilience.RejectedError{Reason: "overloaded"}},
			{"long", `"` + strings.Repeat("a", 65) + `"`, nil, resilience.RejectedError{Reason: "overloaded"}},
			{"another type", `7`, nil, resilience.RejectedError{Reason: "overloaded"}},
			{"seconds", `"r"`, http.Header{"Retry-After": {"3"}}, resilience.RejectedError{Reason: "r", RetryAfter: 3 * time.Second}},
			{"negative", `"r"`, http.Header{"Retry-After": {"-3"}}, resilience.RejectedError{Reason: "r"}},
			{"long wait", `"r"`, http.Header{"Retry-After": {"99999999999999999999"}}, resilience.RejectedError{Reason: "r", RetryAfter: 24 * time.Hour}},
			{"a date", `"r"`, http.Header{"Retry-After": {at(time.Minute)}}, resilience.RejectedError{Reason: "r", RetryAfter: time.Minute}},
			{"a date past", `"r"`, http.Header{"Retry-After": {at(-time.Minute)}}, resilience.RejectedError{Reason: "r"}},
			{"a date far away", `"r"`, http.Header{"Retry-After": {at(1000 * time.Hour)}}, resilience.RejectedError{Reason: "r", RetryAfter: 24 * time.Hour}},
			{"nonsense", `"r"`, http.Header{"Retry-After": {"soon"}}, resilience.RejectedError{Reason: "r"}},
			{"to the millisecond", `"r"`, http.Header{"Retry-After": {"1"}, "X-Retry-Pushback-Ms": {"17"}}, resilience.RejectedError{Reason: "r", RetryAfter: 17 * time.Millisecond}},
			{"milliseconds of nonsense", `"r"`, http.Header{"Retry-After": {"1"}, "X-Retry-Pushback-Ms": {"soon"}}, resilience.RejectedError{Reason: "r", RetryAfter: time.Second}},
			{"long milliseconds", `"r"`, http.Header{"X-Retry-Pushback-Ms": {"9999999999999"}}, resilience.RejectedError{Reason: "r", RetryAfter: 24 * time.Hour}},
			{"do not retry", `"r"`, http.Header{"Retry-After": {"5"}, "X-Retry-Pushback-Ms": {"-1"}}, resilience.RejectedError{Reason: "r", RetryAfter: 5 * time.Second}},
		} {
			err := httpmw.CheckResponse(refusalAnswer(503, `{"type":"tag:fairlead-go.github.io,2026:rejected","policy":"shed","reason":`+tc.reason+`}`, tc.header))
			got, _ := errors.AsType[*resilience.RejectedError](err)
			want := tc.want
			want.Policy, want.Name, want.Remote = resilience.PolicyShed, "inventory:8080", true
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.name, diff)
			}
		}
	})
}

// TestPushbackOf: what an answer says of another attempt.
func TestPushbackOf(t *testing.T) {
	for _, tc := range []struct {
		name   string
		header http.Header
		want   retry.Pushback
	}{
		{"nothing", nil, retry.Pushback{}},
		{"milliseconds", http.Header{"X-Retry-Pushback-Ms": {"250"}}, retry.PushbackAfter(250 * time.Millisecond)},
		{"at once", http.Header{"X-Retry-Pushback-Ms": {"0"}}, retry.PushbackAfter(0)},
		{"stop", http.Header{"X-Retry-Pushback-Ms": {"-1"}, "Retry-After": {"1"}}, retry.PushbackStop()},
		{"no number", http.Header{"X-Retry-Pushback-Ms": {"soon"}}, retry.PushbackStop()},
		{"empty", http.Header{"X-Retry-Pushback-Ms": {""}}, retry.PushbackStop()},
		{"two", http.Header{"X-Retry-Pushback-Ms": {"1", "1"}}, retry.PushbackStop()},
		{"two in one", http.Header{"X-Retry-Pushback-Ms": {"1, 1"}}, retry.PushbackStop()},
		{"bounded", http.Header{"X-Retry-Pushback-Ms": {"99999999999"}}, retry.PushbackAfter(24 * time.Hour)},
		{"seconds", http.Header{"Retry-After": {"3"}}, retry.PushbackAfter(3 * time.Second)},
		{"seconds of nonsense", http.Header{"Retry-After": {"soon"}}, retry.Pushback{}},
		{"milliseconds count", http.Header{"X-Retry-Pushback-Ms": {"5"}, "Retry-After": {"3"}}, retry.PushbackAfter(5 * time.Millisecond)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := httpmw.PushbackOf(tc.header, time.Now()); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// FuzzRefusalOfAPeer: whatever stands in an answer, what is made of it is bounded and
// fit to be shown.
func FuzzRefusalOfAPeer(f *testing.F) {
	f.Add(503, []byte(`{"type":"tag:fairlead-go.github.io,2026:rejected","policy":"shed","reason":"overloaded"}`), "2", "1500", uint8(1))
	f.Add(429, []byte(`x`), "Wed, 21 Oct 2015 07:28:00 GMT", "-1", uint8(2))
	f.Add(504, []byte(`{"type":"tag:fairlead-go.github.io,2026:rejected","policy":"deadline","reason":"\u0000"}`), "-1", "", uint8(0))
	f.Add(400, []byte(`{"type":"tag:fairlead-go.github.io,2026:rejected","policy":{"a":1},"reason":"\ud800"}`), "99999999999999999999", "9223372036854775808", uint8(1))
	f.Fuzz(func(t *testing.T, code int, body []byte, after, pushback string, times uint8) {
		header := http.Header{"Content-Type": {"application/problem+json"}, "Retry-After": {after}}
		for range times % 3 {
			header.Add("X-Retry-Pushback-Ms", pushback)
		}
		said := httpmw.PushbackOf(header, time.Now())
		d, again := said.After()
		if d < 0 || d > 24*time.Hour || said.IsStop() && again || times%3 > 0 && said.IsStop() == again {
			t.Errorf("pushback %+v", said)
		}
		resp := refusalAnswer(code, "", header)
		resp.Body = io.NopCloser(bytes.NewReader(body))
		err := httpmw.CheckResponse(resp)
		if (err == nil) != (code < 400) {
			t.Errorf("%d: %v", code, err)
		}
		e, ok := errors.AsType[*resilience.RejectedError](err)
		if !ok {
			return
		}
		if e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour || e.Reason == "" || len(e.Reason) > 64 || !e.Remote || e.Name != "inventory:8080" || e.Err != nil {
			t.Errorf("%+v", e)
		}
		for _, r := range e.Reason {
			if r < ' ' || r > '~' {
				t.Errorf("reason %q", e.Reason)
			}
		}
		known := false
		for _, row := range wireRows {
			known = known || e.Policy == row.policy
		}
		if !known {
			t.Errorf("policy %q", e.Policy)
		}
	})
}

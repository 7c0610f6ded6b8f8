// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/internal/respwriter"
)

const problemTraceID = "4bf92f3577b34da6a3ce929d0e0e4736"

// tracedRequest is a request that has a trace id, as behind Record.
func tracedRequest(method, accept string) *http.Request {
	sc := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36},
		SpanID:  trace.SpanID{1},
	})
	r := httptest.NewRequest(method, "/orders/7", nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	return r.WithContext(trace.ContextWithSpanContext(r.Context(), sc))
}

var testPage = httpmw.HTMLPage(template.Must(template.New("").Parse(
	`<h1>{{.Status}} {{.Title}}</h1><p>{{.Detail}}</p><code>{{.TraceID}}</code>`)))

func TestWriteProblemForms(t *testing.T) {
	const (
		browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
		jsonCT  = "application/problem+json"
		htmlCT  = "text/html; charset=utf-8"
		textCT  = "text/plain; charset=utf-8"
	)
	tests := []struct {
		accept         string
		want, withPage string // content types without and with an error page
	}{
		{"", jsonCT, jsonCT},
		{"*/*", jsonCT, jsonCT},
		{"application/json", jsonCT, jsonCT},
		{"APPLICATION/Problem+JSON", jsonCT, jsonCT},
		{"application/vnd.api+json", jsonCT, jsonCT},
		{"application/*", jsonCT, jsonCT},
		{browser, textCT, htmlCT},
		{"text/html", textCT, htmlCT},
		{"text/html;level=1;q=0.7", textCT, htmlCT},
		{"text/*", textCT, htmlCT},
		{"text/plain", textCT, textCT},
		{"text/plain, text/html;q=0.9", textCT, textCT},
		{"text/html;q=0.5, application/json;q=0.9", jsonCT, jsonCT},
		{"text/html, application/json", jsonCT, jsonCT}, // a tie goes to JSON
		{"text/html;q=0, */*", jsonCT, jsonCT},
		{"application/json;q=0, */*", textCT, htmlCT}, // the specific range beats the wild one
		{"application/json;q=0", textCT, textCT},
		{"image/png", textCT, textCT},
		{"application/json;q=2", jsonCT, jsonCT}, // malformed: as if nothing was said
		{"text/html;q=1.5, application/json;q=0.1", jsonCT, jsonCT},
		{"text/html;q=0.1234, application/json;q=0.1", jsonCT, jsonCT},
		{"text/html;q=-1, application/json;q=0.1", jsonCT, jsonCT},
		{"garbage", jsonCT, jsonCT},
		{"*/html, text/plain", textCT, textCT},
		{strings.Repeat("image/png,", 100) + "application/json", textCT, textCT}, // not looked at past a bound
		{strings.Repeat(" ", 5000) + "text/html", jsonCT, jsonCT},
	}
	for _, tc := range tests {
		t.Run(tc.accept[:min(len(tc.accept), 40)], func(t *testing.T) {
			rec := httptest.NewRecorder()
			httpmw.WriteProblem(rec, tracedRequest(http.MethodGet, tc.accept), httpmw.Problem{Status: 404})
			if got := rec.Header().Get("Content-Type"); got != tc.want {
				t.Errorf("without a page: %q, want %q", got, tc.want)
			}
			rec = httptest.NewRecorder()
			httpmw.WriteProblem(rec, tracedRequest(http.MethodGet, tc.accept), httpmw.Problem{Status: 404}, httpmw.WithErrorPage(testPage))
			if got := rec.Header().Get("Content-Type"); got != tc.withPage {
				t.Errorf("with a page: %q, want %q", got, tc.withPage)
			}
		})
	}
}

func TestWriteProblemBodies(t *testing.T) {
	outOfStock := httpmw.Problem{
		Type:       "https://example.com/problems/stock",
		Title:      "Out of stock",
		Status:     http.StatusConflict,
		Detail:     "<b>3</b> left",
		Instance:   "/orders/7",
		Extensions: map[string]any{"sku": "A-1", "status": 200, "title": "other", "type": "x"},
	}
	tests := []struct {
		name, accept string
		p            httpmw.Problem
		status       int
		body         string
	}{
		{"zero value", "", httpmw.Problem{}, 500,
			`{"status":500,"title":"Internal Server Error","trace_id":"` + problemTraceID + `","type":"about:blank"}` + "\n"},
		{"all members; extensions cannot replace them", "", outOfStock, 409,
			`{"detail":"\u003cb\u003e3\u003c/b\u003e left","instance":"/orders/7","sku":"A-1","status":409,"title":"Out of stock","trace_id":"` +
				problemTraceID + `","type":"https://example.com/problems/stock"}` + "\n"},
		{"text", "text/plain", outOfStock, 409, "409 Out of stock\n<b>3</b> left\ntrace_id: " + problemTraceID + "\n"},
		{"page escapes", "text/html", outOfStock, 409,
			"<h1>409 Out of stock</h1><p>&lt;b&gt;3&lt;/b&gt; left</p><code>" + problemTraceID + "</code>"},
		{"a status that is no error", "text/plain", httpmw.Problem{Status: 204}, 500, "500 Internal Server Error\ntrace_id: " + problemTraceID + "\n"},
		{"a status of nobody", "text/plain", httpmw.Problem{Status: 499}, 499, "499 Client Error\ntrace_id: " + problemTraceID + "\n"},
		{"a server's status of nobody", "text/plain", httpmw.Problem{Status: 599}, 599, "599 Server Error\ntrace_id: " + problemTraceID + "\n"},
		{"a spoofed trace id", "", httpmw.Problem{Status: 400, Extensions: map[string]any{"trace_id": "mine"}}, 400,
			`{"status":400,"title":"Bad Request","trace_id":"` + problemTraceID + `","type":"about:blank"}` + "\n"},
		{"extensions cannot stand in for members", "", httpmw.Problem{Status: 400, Extensions: map[string]any{"detail": "x", "instance": "y"}}, 400,
			`{"status":400,"title":"Bad Request","trace_id":"` + problemTraceID + `","type":"about:blank"}` + "\n"},
		{"an extension without JSON form", "", httpmw.Problem{Status: 400, Extensions: map[string]any{"c": make(chan int)}}, 400,
			`{"status":400,"title":"Bad Request","trace_id":"` + problemTraceID + `","type":"about:blank"}` + "\n"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			httpmw.WriteProblem(rec, tracedRequest(http.MethodGet, tc.accept), tc.p, httpmw.WithErrorPage(testPage))
			if rec.Code != tc.status {
				t.Errorf("status %d, want %d", rec.Code, tc.status)
			}
			if diff := cmp.Diff(tc.body, rec.Body.String()); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if got, want := rec.Header().Get("Content-Length"), strconv.Itoa(len(tc.body)); got != want {
				t.Errorf("Content-Length %s, want %s", got, want)
			}
		})
	}
	if diff := cmp.Diff(map[string]any{"sku": "A-1", "status": 200, "title": "other", "type": "x"}, outOfStock.Extensions); diff != "" {
		t.Errorf("the caller's extensions were changed (-want +got):\n%s", diff)
	}
}

func TestWriteProblemWithoutTrace(t *testing.T) {
	rec := httptest.NewRecorder()
	httpmw.WriteProblem(rec, httptest.NewRequest(http.MethodGet, "/", nil), httpmw.Problem{Status: 404})
	if got, want := rec.Body.String(), `{"status":404,"title":"Not Found","type":"about:blank"}`+"\n"; got != want {
		t.Errorf("body %s, want %s", got, want)
	}
}

func TestWriteProblemHeaders(t *testing.T) {
	rec := httptest.NewRecorder()
	for _, k := range []string{
		"Content-Disposition", "Content-Encoding", "Content-Language", "Content-Range", "Etag", "Expires", "Last-Modified",
	} {
		rec.Header().Set(k, "of the answer that failed")
	}
	rec.Header().Set("Content-Length", "12345")
	rec.Header().Set("Cache-Control", "public, max-age=3600")
	rec.Header().Set("Retry-After", "3")
	rec.Header().Set("X-Trace-Id", problemTraceID)
	httpmw.WriteProblem(rec, tracedRequest(http.MethodGet, "text/plain"), httpmw.Problem{Status: 503})
	want := http.Header{
		"Cache-Control":          {"no-store"},
		"Content-Length":         {strconv.Itoa(rec.Body.Len())},
		"Content-Type":           {"text/plain; charset=utf-8"},
		"Retry-After":            {"3"},
		"X-Content-Type-Options": {"nosniff"},
		"X-Trace-Id":             {problemTraceID},
	}
	if diff := cmp.Diff(want, rec.Header()); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestWriteProblemHead(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpmw.WriteProblem(w, r, httpmw.Problem{Status: 404})
	}))
	defer srv.Close()
	resp, err := srv.Client().Head(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 404 || resp.ContentLength == 0 || len(body) != 0 || err != nil {
		t.Errorf("got %d, length %d, body %q, %v; want 404, the length of a GET and no body", resp.StatusCode, resp.ContentLength, body, err)
	}
	rec := httptest.NewRecorder()
	httpmw.WriteProblem(rec, tracedRequest(http.MethodHead, ""), httpmw.Problem{Status: 404})
	if rec.Body.Len() != 0 {
		t.Errorf("body %q for HEAD, want none", rec.Body)
	}
}

// someWrapper is the wrapper of another library around ours.
type someWrapper struct{ http.ResponseWriter }

func (s someWrapper) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func TestWriteProblemOnce(t *testing.T) {
	tests := map[string]func(w http.ResponseWriter, r *http.Request){
		"after a byte":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "half") },
		"after a status":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) },
		"after a problem": func(w http.ResponseWriter, r *http.Request) { httpmw.WriteProblem(w, r, httpmw.Problem{Status: 400}) },
	}
	for name, before := range tests {
		t.Run(name, func(t *testing.T) {
			rec, r := httptest.NewRecorder(), tracedRequest(http.MethodGet, "")
			var w respwriter.Writer
			w.Init(rec)
			before(someWrapper{&w}, r)
			code, header, body := rec.Code, rec.Header().Clone(), rec.Body.String()
			httpmw.WriteProblem(someWrapper{&w}, r, httpmw.Problem{Status: 503, Detail: "twice"})
			if rec.Code != code || rec.Body.String() != body {
				t.Errorf("got %d %q, want %d %q as before", rec.Code, rec.Body, code, body)
			}
			if diff := cmp.Diff(header, rec.Header()); diff != "" {
				t.Errorf("header (-before +after):\n%s", diff)
			}
		})
	}
}

func TestErrorPageFails(t *testing.T) {
	page := func(w io.Writer, _ *http.Request, _ httpmw.Problem) error {
		_, _ = fmt.Fprint(w, "<h1>half a page")
		return errors.New("secret of the template")
	}
	rec := httptest.NewRecorder()
	httpmw.WriteProblem(rec, tracedRequest(http.MethodGet, "text/html"), httpmw.Problem{Status: 404}, httpmw.WithErrorPage(page))
	if got, want := rec.Body.String(), "404 Not Found\ntrace_id: "+problemTraceID+"\n"; got != want {
		t.Errorf("body %q, want %q", got, want)
	}
}

// FuzzAccept: whatever a client accepts, it gets the problem, in one of three forms.
func FuzzAccept(f *testing.F) {
	for _, s := range []string{"", "*/*", "text/html;q=0.5,*/*;q=.1", "a/b;q=", ";;;,,,///", "text/html;q=0.999999", "\xff/\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		rec := httptest.NewRecorder()
		r := tracedRequest(http.MethodGet, "")
		r.Header["Accept"] = []string{accept}
		httpmw.WriteProblem(rec, r, httpmw.Problem{Status: 404}, httpmw.WithErrorPage(testPage))
		switch ct := rec.Header().Get("Content-Type"); ct {
		case "application/problem+json", "text/html; charset=utf-8", "text/plain; charset=utf-8":
		default:
			t.Errorf("content type %q", ct)
		}
		if rec.Code != 404 || !strings.Contains(rec.Body.String(), problemTraceID) {
			t.Errorf("got %d %q, want 404 and the trace id", rec.Code, rec.Body)
		}
	})
}

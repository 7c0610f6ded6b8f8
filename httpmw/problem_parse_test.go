// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/httpmw"
)

func problemAnswer(contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusConflict,
		Header:     http.Header{"Content-Type": {contentType}},
		Body:       io.NopCloser(strings.NewReader(body)),
	}
}

func TestParseProblem(t *testing.T) {
	tests := []struct {
		name, body string
		want       httpmw.Problem
	}{
		{"empty object", `{}`, httpmw.Problem{Type: "about:blank", Status: 409}},
		{"null", `null`, httpmw.Problem{Type: "about:blank", Status: 409}},
		{"all members", `{"type":"t","title":"T","status":503,"detail":"d","instance":"/i","retry":2,"more":{"a":[1]}}`, httpmw.Problem{
			Type: "t", Title: "T", Status: 503, Detail: "d", Instance: "/i",
			Extensions: map[string]any{"retry": json.Number("2"), "more": map[string]any{"a": []any{json.Number("1")}}},
		}},
		{"members of a wrong type are ignored", `{"type":1,"title":["T"],"status":"503","detail":{},"instance":true}`,
			httpmw.Problem{Type: "about:blank", Status: 409}},
		{"an impossible status", `{"status":7}`, httpmw.Problem{Type: "about:blank", Status: 409}},
		{"a broken status", `{"status":404.5}`, httpmw.Problem{Type: "about:blank", Status: 409}},
		{"names in another case are extensions", `{"Title":"T"}`,
			httpmw.Problem{Type: "about:blank", Status: 409, Extensions: map[string]any{"Title": "T"}}},
		{"invalid UTF-8", "{\"title\":\"a\xffb\"}", httpmw.Problem{Type: "about:blank", Title: "a\ufffdb", Status: 409}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := httpmw.ParseProblem(problemAnswer("application/problem+json; charset=utf-8", tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseProblemErrors(t *testing.T) {
	for _, ct := range []string{"", "application/json", "text/html", "application/problem+xml", ";;"} {
		resp := problemAnswer(ct, `{"title":"T"}`)
		if _, err := httpmw.ParseProblem(resp); !errors.Is(err, httpmw.ErrNotProblem) {
			t.Errorf("%q: %v, want ErrNotProblem", ct, err)
		}
		if rest, _ := io.ReadAll(resp.Body); string(rest) != `{"title":"T"}` {
			t.Errorf("%q: the body was read, %q is left", ct, rest)
		}
	}
	noBody := problemAnswer("application/problem+json", "")
	noBody.Body = nil
	if _, err := httpmw.ParseProblem(noBody); !errors.Is(err, httpmw.ErrNotProblem) {
		t.Errorf("no body: %v, want ErrNotProblem", err)
	}
	for _, body := range []string{"", "[]", `"x"`, `{"a":1}{"b":2}`, `{"title":`, "<html>"} {
		if _, err := httpmw.ParseProblem(problemAnswer("application/problem+json", body)); err == nil || errors.Is(err, httpmw.ErrNotProblem) {
			t.Errorf("%q: %v, want an error that says malformed", body, err)
		}
	}
	broken := problemAnswer("application/problem+json", "")
	broken.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := httpmw.ParseProblem(broken); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("broken body: %v, want ErrUnexpectedEOF", err)
	}
}

// endless counts how much of it was read.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func TestParseProblemIsBounded(t *testing.T) {
	resp := problemAnswer("application/problem+json", "")
	src := &endless{}
	resp.Body = io.NopCloser(src)
	if _, err := httpmw.ParseProblem(resp); err == nil {
		t.Error("no error for an endless body")
	}
	if src.read > 128<<10 {
		t.Errorf("read %d bytes, want no more than the bound and a buffer", src.read)
	}
	exact := `{"title":"` + strings.Repeat("a", 64<<10-12) + `"}`
	if _, err := httpmw.ParseProblem(problemAnswer("application/problem+json", exact)); err != nil {
		t.Errorf("64 KiB: %v, want nil", err)
	}
	if _, err := httpmw.ParseProblem(problemAnswer("application/problem+json", exact+" ")); err == nil {
		t.Error("no error for 64 KiB and one byte")
	}
}

func TestProblemRoundTrip(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		httpmw.WriteProblem(w, tracedRequest(http.MethodGet, ""), httpmw.Problem{
			Status: http.StatusConflict, Detail: "3 left", Extensions: map[string]any{"sku": "A-1"},
		})
	}))
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := httpmw.ParseProblem(resp)
	if err != nil {
		t.Fatal(err)
	}
	want := httpmw.Problem{
		Type: "about:blank", Title: "Conflict", Status: 409, Detail: "3 left",
		Extensions: map[string]any{"sku": "A-1", "trace_id": problemTraceID},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.TraceID() != problemTraceID {
		t.Errorf("TraceID %q, want %q", got.TraceID(), problemTraceID)
	}
}

func TestProblemTraceIDIsNotTrusted(t *testing.T) {
	for _, v := range []any{nil, 7, "", "4BF92F3577B34DA6A3CE929D0E0E4736", "x\r\ny", strings.Repeat("g", 32)} {
		p := httpmw.Problem{Extensions: map[string]any{"trace_id": v}}
		if got := p.TraceID(); got != "" {
			t.Errorf("%q: got %q, want none", v, got)
		}
	}
}

// FuzzParseProblem: what is parsed is bounded, valid text, and survives being
// written and parsed again.
func FuzzParseProblem(f *testing.F) {
	for _, s := range []string{`{}`, `null`, `{"type":"t","status":404,"x":[1,{"y":null}]}`, `{"status":1e2,"n":1e999}`, "{\"a\xff\":\"\xfe\"}", `{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}`} {
		f.Add("application/problem+json", s)
	}
	f.Add("text/html", "<h1>")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		p, err := httpmw.ParseProblem(problemAnswer(contentType, body))
		if err != nil {
			if diff := cmp.Diff(httpmw.Problem{}, p); diff != "" {
				t.Errorf("an error and a problem: %s", diff)
			}
			return
		}
		for _, s := range []string{p.Type, p.Title, p.Detail, p.Instance, p.TraceID()} {
			if !utf8.ValidString(s) || len(s) > 3*len(body)+len("about:blank") {
				t.Errorf("member %q of %q", s, body)
			}
		}
		if p.Status < 100 || p.Status > 599 || p.Type == "" {
			t.Errorf("status %d, type %q", p.Status, p.Type)
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", p, err)
		}
		if len(again) > 64<<10 {
			return // escapes made it too large to be parsed
		}
		p2, err := httpmw.ParseProblem(problemAnswer("application/problem+json", string(again)))
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if diff := cmp.Diff(p, p2); diff != "" {
			t.Errorf("written and parsed again (-first +second):\n%s", diff)
		}
	})
}

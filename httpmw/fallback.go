// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/fallback"
)

// Reply is an answer that can be given any number of times: what a [fallback.Fallback]
// makes for [FallbackTransport]. It is no [http.Response], because the body of one can be
// read once, and whoever kept it to be given again would give an empty one. The zero value
// is an empty 200.
type Reply struct {
	// Status is the status code, 200 to 599; 0 is 200.
	Status int
	// Header is the answer's. It is copied for each answer.
	Header http.Header
	// Body is the whole body. It is not copied: nobody may change it.
	Body []byte
}

// response returns the reply as the answer to req.
func (r Reply) response(req *http.Request) *http.Response {
	code := cmp.Or(r.Status, http.StatusOK)
	resp := &http.Response{
		Status:     strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code)),
		StatusCode: code,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        r.Header.Clone(),
		Body:          http.NoBody,
		ContentLength: int64(len(r.Body)),
		Request:       req,
	}
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	resp.Header.Set("Content-Length", strconv.Itoa(len(r.Body)))
	resp.Header.Set(HeaderDegraded, "true")
	if len(r.Body) > 0 && req.Method != http.MethodHead {
		resp.Body = io.NopCloser(bytes.NewReader(r.Body))
	}
	return resp
}

// FallbackTransport returns the transport that answers with what f makes those requests
// that fail in a way that f stands in for: with an error, or with a status. What a status
// means is said by [OutcomeOf] and by whose limit passed; f is given the error, or the
// [*StatusError] of [CheckResponse]. It stands below [RecordTransport] and above everything
// else: it is asked once, when all else has failed.
//
// It is for requests that match one of patterns, such as "GET /recommendations/{user}", as
// in an [http.ServeMux]; without any, for all.
//
// The response that is replaced is closed. Once a response is returned its body may still
// break off; nothing stands in for that. If f fails, the caller gets the response as it is,
// or an error that matches both.
//
// The requests that the answer is for are marked as degraded ([record.Degrade]), and the
// answer has [HeaderDegraded]. It panics if f is nil, and on a pattern on which
// http.ServeMux does.
func FallbackTransport(f *fallback.Fallback[Reply], patterns ...string) Transport {
	if f == nil {
		panic("httpmw: FallbackTransport: nil fallback")
	}
	t := falling{fallback: f}
	if len(patterns) > 0 {
		t.mux = http.NewServeMux()
		for _, p := range patterns {
			t.mux.Handle(p, http.NotFoundHandler())
		}
	}
	return func(next http.RoundTripper) http.RoundTripper {
		t := t
		t.next = next
		return &t
	}
}

type falling struct {
	fallback *fallback.Fallback[Reply]
	mux      *http.ServeMux // nil: all requests
	next     http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *falling) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	ctx := req.Context()
	outcome := outcomeOf(ctx, resp, err)
	if outcome == resilience.OutcomeOK || !t.covers(req) {
		return resp, err
	}
	failure := err
	if err == nil {
		failure = checkKept(resp)
	}
	reply, degraded, failed := t.fallback.Apply(ctx, outcome, failure)
	if !degraded {
		if resp == nil {
			return nil, failed
		}
		return resp, nil
	}
	if resp != nil {
		discard(resp)
	}
	if s := reply.Status; s != 0 && (s < 200 || s > 599) {
		return nil, fmt.Errorf("%w; httpmw: fallback %q: status %d: must be 200 to 599", failure, t.fallback.Name(), s)
	}
	record.Degrade(ctx, t.fallback.Name())
	return reply.response(req), nil
}

// covers reports whether req may be answered.
func (t *falling) covers(req *http.Request) bool {
	if t.mux == nil {
		return true
	}
	_, pattern := t.mux.Handler(&http.Request{
		Method: cmp.Or(req.Method, http.MethodGet), Host: cmp.Or(req.Host, req.URL.Host), URL: req.URL,
	})
	return pattern != ""
}

// checkKept is [CheckResponse] of a response whose body is to be read after that.
func checkKept(resp *http.Response) error {
	body := resp.Body
	if body == nil {
		return CheckResponse(resp)
	}
	var read bytes.Buffer
	resp.Body = io.NopCloser(io.TeeReader(body, &read))
	err := CheckResponse(resp)
	resp.Body = body
	if read.Len() > 0 {
		resp.Body = &keptBody{Reader: io.MultiReader(&read, body), Closer: body}
	}
	return err
}

// keptBody is a body of which something was read.
type keptBody struct {
	io.Reader
	io.Closer
}

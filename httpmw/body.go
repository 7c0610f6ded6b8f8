// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"io"
	"maps"
	"net/http"
	"sync/atomic"
	"time"
)

// roundTripper makes a function an [http.RoundTripper].
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// closeBody closes the body of a request that will not be sent, as the
// contract of [http.RoundTripper] asks for.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// cloneHeader returns a copy of h to which keys can be added; a round tripper
// must not change the caller's. The values are shared.
func cloneHeader(h http.Header) http.Header {
	if h == nil {
		return http.Header{}
	}
	return maps.Clone(h)
}

// What is read of the response to an attempt that is given up, so that its
// connection can be used again.
const (
	maxDrained   = 4 << 10 // bytes
	maxDrainTime = 50 * time.Millisecond
)

// discard reads what is left of resp, if that is little and comes soon, and closes
// its body.
func discard(resp *http.Response) {
	if resp.Body == nil {
		return
	}
	if resp.Body != http.NoBody && resp.StatusCode != http.StatusSwitchingProtocols && resp.ContentLength <= maxDrained {
		timer := time.AfterFunc(maxDrainTime, func() { _ = resp.Body.Close() })
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrained+1) // or the end is not seen
		timer.Stop()
	}
	_ = resp.Body.Close()
}

// watchBody calls read, if it is not nil, with what each read of resp's body gave,
// and done once, when the body is at its end, fails or is closed: with nil if it
// was read to its end or closed, otherwise with the error that ended it.
func watchBody(resp *http.Response, read func([]byte), done func(error)) {
	if resp.Body == nil || resp.Body == http.NoBody {
		done(nil)
		return
	}
	b := &body{ReadCloser: resp.Body, read: read, end: endFunc(done)}
	if w, ok := resp.Body.(io.Writer); ok { // 101 Switching Protocols
		resp.Body = &writableBody{body: b, Writer: w}
		return
	}
	resp.Body = b
}

// body is a response body that says when it is over.
type body struct {
	io.ReadCloser
	over atomic.Bool
	read func([]byte) // may be nil
	end  bodyEnd
}

// bodyEnd is told when a body is over.
type bodyEnd interface{ bodyOver(err error) }

type endFunc func(error)

func (f endFunc) bodyOver(err error) { f(err) }

// Read reads from the body.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.read != nil {
		b.read(p[:n])
	}
	switch err {
	case nil:
	case io.EOF: // by this value alone, see io.Reader
		b.finish(nil)
	default:
		b.finish(err)
	}
	return n, err
}

// Close closes the body.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.finish(nil)
	return err
}

func (b *body) finish(err error) {
	if b.over.CompareAndSwap(false, true) {
		b.end.bodyOver(err)
	}
}

// writableBody is the body of a connection that switched protocols.
type writableBody struct {
	*body
	io.Writer
}

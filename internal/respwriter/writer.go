// SPDX-License-Identifier: Apache-2.0

package respwriter

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
)

// Writer is an [http.ResponseWriter] that remembers what went through it.
//
// It is meant to be a field, by value, of what owns it. The zero value is not
// usable before [Writer.Init]. Like every ResponseWriter it is for one goroutine
// at a time; what it remembers is read after the handler has returned.
type Writer struct {
	rw       http.ResponseWriter
	owner    Owner // may be nil
	bytes    int64
	status   int
	wrote    bool
	hijacked bool
}

// Owner is told when the header of an answer may be about to go out, with the status,
// on the goroutine that writes, so that it can add to the header what is known by
// then. It is told again if the header did not go out after all. Headers of
// informational answers are not told of, nor is one that net/http sends for a handler
// that has written nothing.
type Owner interface{ BeforeHeader(code int) }

var (
	_ http.ResponseWriter = (*Writer)(nil)
	_ http.Flusher        = (*Writer)(nil)
	_ http.Hijacker       = (*Writer)(nil)
	_ io.ReaderFrom       = (*Writer)(nil)
	_ io.StringWriter     = (*Writer)(nil)
)

// Init puts w in front of rw and forgets everything from before.
func (w *Writer) Init(rw http.ResponseWriter) { *w = Writer{rw: rw} }

// SetOwner sets who is told before the header goes out.
func (w *Writer) SetOwner(o Owner) { w.owner = o }

// Status returns the final status code of the answer: the one that was written,
// else 101 for a hijacked connection, else 200, which is what net/http sends for
// a handler that says nothing. Informational codes (1xx but 101) are not final.
func (w *Writer) Status() int {
	switch {
	case w.status != 0:
		return w.status
	case w.hijacked:
		return http.StatusSwitchingProtocols
	default:
		return http.StatusOK
	}
}

// Bytes returns how many bytes of the body the writer below has accepted, those
// of ReadFrom included. The answer to a HEAD request counts what the handler
// wrote, though none of it is sent. What goes over a hijacked connection is not
// counted.
func (w *Writer) Bytes() int64 { return w.bytes }

// WroteHeader reports whether the answer has begun, so that no other answer can
// be given any more: a final status was sent, or the connection was hijacked.
func (w *Writer) WroteHeader() bool { return w.wrote || w.hijacked }

// Hijacked reports whether a handler has taken the connection over.
func (w *Writer) Hijacked() bool { return w.hijacked }

// Unwrap returns the writer below, for [http.ResponseController].
func (w *Writer) Unwrap() http.ResponseWriter { return w.rw }

// Header returns the header map of the writer below; trailers go there as well.
func (w *Writer) Header() http.Header { return w.rw.Header() }

// WriteHeader passes every call on, superfluous and invalid ones too, so that
// net/http complains as it always does. Only the first final code counts.
func (w *Writer) WriteHeader(code int) {
	if !informational(code) {
		w.announce(code)
	}
	// An invalid code panics here, and then no answer has begun.
	w.rw.WriteHeader(code)
	if w.WroteHeader() || informational(code) {
		return
	}
	w.wrote, w.status = true, code
}

// Write passes p on and counts what was accepted.
func (w *Writer) Write(p []byte) (int, error) {
	w.begin()
	n, err := w.rw.Write(p)
	w.bytes += int64(n)
	return n, err
}

// WriteString is Write without a copy, if the writer below can do that.
func (w *Writer) WriteString(s string) (int, error) {
	w.begin()
	n, err := io.WriteString(w.rw, s)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom hands src as it is to the writer below, so that a file still goes out
// through sendfile, and counts what was sent. A writer that is no
// [io.ReaderFrom] (that of HTTP/2) gets plain writes.
func (w *Writer) ReadFrom(src io.Reader) (int64, error) {
	rf, ok := w.rw.(io.ReaderFrom)
	if !ok {
		return io.Copy(onlyWriter{w}, src)
	}
	// An empty source leaves the header open. Until ReadFrom has told how far it
	// got the answer counts as begun: src may panic in the middle.
	wrote := w.wrote
	w.begin()
	n, err := rf.ReadFrom(src)
	w.bytes += n
	if n == 0 {
		w.wrote = wrote
	}
	return n, err
}

// Flush is [Writer.FlushError] for those who ask for an [http.Flusher]. Whether
// the writer below can flush at all, only FlushError tells.
func (w *Writer) Flush() { _ = w.FlushError() }

// FlushError sends what is buffered, the header first. The error matches
// [http.ErrNotSupported] if the writer below cannot flush.
func (w *Writer) FlushError() error {
	w.announce(http.StatusOK)
	err := http.NewResponseController(w.rw).Flush()
	if !errors.Is(err, http.ErrNotSupported) && !w.hijacked {
		w.wrote = true
	}
	return err
}

// Hijack lets the caller take the connection over. The error matches
// [http.ErrNotSupported] if the writer below cannot do that (HTTP/2), and the
// answer can still be given in the usual way then.
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(w.rw).Hijack()
	if err == nil {
		w.hijacked = true
	}
	return conn, buf, err
}

// begin notes that the first byte brings the header with it.
func (w *Writer) begin() {
	w.announce(http.StatusOK)
	if !w.hijacked {
		w.wrote = true
	}
}

// announce tells the owner that the header is about to go out, if it has not.
func (w *Writer) announce(code int) {
	if w.owner != nil && !w.WroteHeader() {
		w.owner.BeforeHeader(code)
	}
}

// informational reports whether code announces another one. 101 does not: it
// ends HTTP on this connection.
func informational(code int) bool {
	return code >= 100 && code <= 199 && code != http.StatusSwitchingProtocols
}

// onlyWriter hides ReadFrom from io.Copy, which would call it again.
type onlyWriter struct{ w *Writer }

func (o onlyWriter) Write(p []byte) (int, error) { return o.w.Write(p) }

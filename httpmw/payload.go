// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"io"
	"log/slog"
	"net/http"

	"github.com/fairlead-go/fairlead/internal/respwriter"
	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/logging"
)

// DefaultMaxPayloadBytes bounds what [PayloadLog] shows of one body.
const DefaultMaxPayloadBytes = 4 << 10

// MessagePayload is the message of the lines that [PayloadLog] writes.
const MessagePayload = "http message"

// PayloadOption configures [PayloadLog] and [PayloadLogTransport].
type PayloadOption interface{ applyPayload(*payloads) }

type payloadOption func(*payloads)

func (f payloadOption) applyPayload(p *payloads) { f(p) }

// WithPayloadRedactor sets which members of JSON objects and which fields of
// forms are secret, by their names. The default, and nil, is a Redactor with
// the default list of names.
func WithPayloadRedactor(r *logging.Redactor) PayloadOption {
	return payloadOption(func(p *payloads) {
		if r != nil {
			p.redactor = r
		}
	})
}

// WithMaxPayloadBytes bounds what is shown of one body, in bytes. Longer text is
// cut, and of longer JSON nothing is shown, since half of it does not tell what
// is secret; either way the line says truncated. Of no body anything is shown if
// n is 0 or less. The default is [DefaultMaxPayloadBytes].
func WithMaxPayloadBytes(n int) PayloadOption {
	return payloadOption(func(p *payloads) { p.maxBytes = n })
}

// PayloadLog returns the middleware that logs the bodies of requests and of
// answers at debug level: two lines a request, when its handler is done. A body
// is shown as far as it was read or written: JSON, by its type or by its looks,
// in slog groups, forms and text as a string. Of any other, and of one that is
// compressed, there is the content type and the size alone. Nothing else in this
// package logs what is in a body.
//
// Secrets are redacted by the names of JSON members and form fields, whatever
// handler the logger has. What people wrote under a harmless name is shown, and
// so is all of a text: this is for finding an error, not for keeping. To see the
// bodies of one request only, ctxutil.SetLevel lets its debug lines through.
//
// It comes after [Record], so that lines have the request's ids. Nothing is held
// back: answers stream as they do without it, and what is not shown still goes
// out through sendfile. While debug lines are not logged it costs a look at the
// level. It panics if l is nil.
func PayloadLog(l *slog.Logger, opts ...PayloadOption) Middleware {
	p := newPayloads("PayloadLog", l, opts)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !l.Enabled(r.Context(), slog.LevelDebug) {
				next.ServeHTTP(w, r)
				return
			}
			p.serve(next, w, r)
		})
	}
}

// PayloadLogTransport is [PayloadLog] for requests sent: it logs them, and their
// responses, when the response's body is over. It comes after [RecordTransport].
func PayloadLogTransport(l *slog.Logger, opts ...PayloadOption) Transport {
	p := newPayloads("PayloadLogTransport", l, opts)
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if !l.Enabled(r.Context(), slog.LevelDebug) {
				return next.RoundTrip(r)
			}
			return p.send(next, r)
		})
	}
}

type payloads struct {
	logger   *slog.Logger
	redactor *logging.Redactor
	maxBytes int
}

func newPayloads(name string, l *slog.Logger, opts []PayloadOption) *payloads {
	if l == nil {
		panic("httpmw: " + name + ": nil logger")
	}
	p := &payloads{logger: l, maxBytes: DefaultMaxPayloadBytes}
	for _, o := range opts {
		o.applyPayload(p)
	}
	if p.redactor == nil {
		p.redactor, _ = logging.NewRedactor() // which fails for no options
	}
	return p
}

func (p *payloads) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	inner := r.WithContext(r.Context())
	request := p.tapRequest(inner)
	pw := &payloadWriter{taken: excerpt{max: p.maxBytes}}
	pw.Init(w)
	defer func() { // a handler may panic
		handBack(r, inner)
		p.log(r, "server", "received", r.Header, request)
		p.log(r, "server", "sent", pw.Header(), &pw.taken)
	}()
	next.ServeHTTP(pw, inner)
}

func (p *payloads) send(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	sent := r.WithContext(r.Context())
	request := p.tapRequest(sent)
	resp, err := next.RoundTrip(sent)
	if err != nil {
		p.log(r, "client", "sent", r.Header, request)
		return resp, err
	}
	response := &excerpt{max: p.maxBytes}
	watchBody(resp, response.add, func(error) {
		p.log(r, "client", "sent", r.Header, request)
		p.log(r, "client", "received", resp.Header, response)
	})
	return resp, nil
}

// tapRequest makes r, which is a copy, keep the beginning of its body.
func (p *payloads) tapRequest(r *http.Request) *excerpt {
	e := &excerpt{max: p.maxBytes}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &body{ReadCloser: r.Body, read: e.add, end: endFunc(func(error) {})}
	}
	return e
}

// log logs the body of the message that has header.
func (p *payloads) log(r *http.Request, side, direction string, header http.Header, body *excerpt) {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs,
		slog.String(string(semconv.HTTPRequestMethodKey), r.Method),
		slog.String(string(semconv.URLPathKey), r.URL.Path),
		slog.String("side", side),
		slog.String("direction", direction))
	attrs = p.appendContent(attrs, header, body)
	p.logger.LogAttrs(r.Context(), slog.LevelDebug, MessagePayload, attrs...)
}

// payloadWriter keeps the beginning of an answer on its way out.
type payloadWriter struct {
	respwriter.Writer
	taken excerpt
}

// Write implements [http.ResponseWriter].
func (w *payloadWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.taken.add(p[:n])
	return n, err
}

// WriteString implements [io.StringWriter].
func (w *payloadWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// ReadFrom implements [io.ReaderFrom]. What is not going to be shown takes the
// short way.
func (w *payloadWriter) ReadFrom(src io.Reader) (int64, error) {
	if kindOf(w.Header()) != otherBody {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	n, err := w.Writer.ReadFrom(src)
	w.taken.skip(n)
	return n, err
}

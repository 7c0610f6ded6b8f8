// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// The numbers of [NewServer]. All of them lie below 30 s, a usual TTL in service
// registries, and each is above the one that a client of [NewClient] has for the
// same thing, so that the client gives up first.
const (
	// DefaultReadHeaderTimeout is how long the headers of a request may take.
	DefaultReadHeaderTimeout = 5 * time.Second
	// DefaultReadTimeout is how long a whole request may take to arrive.
	DefaultReadTimeout = 15 * time.Second
	// DefaultWriteTimeout is how long handler and answer may take together.
	DefaultWriteTimeout = 20 * time.Second
	// DefaultServerIdleTimeout is how long a connection may wait for its next request.
	DefaultServerIdleTimeout = 25 * time.Second
)

// ServerOption is an option of [NewServer].
type ServerOption interface{ applyServer(*serverConfig) }

type serverConfig struct {
	endpoint
	readHeaderTimeout time.Duration
	readHeaderGiven   bool
	readTimeout       time.Duration
	writeTimeout      time.Duration
	errorLog          *slog.Logger
	baseContext       context.Context
}

type serverOption func(*serverConfig)

func (o serverOption) applyServer(c *serverConfig) { o(c) }

// WithReadHeaderTimeout bounds the time a client may take to send the headers of
// a request, counted from the start of the connection or from the first byte of
// the request. [DefaultReadHeaderTimeout] if it is left out; never more than the
// read timeout.
func WithReadHeaderTimeout(d time.Duration) ServerOption {
	return serverOption(func(c *serverConfig) { c.readHeaderTimeout, c.readHeaderGiven = d, true })
}

// WithReadTimeout bounds the time a client may take to send a whole request,
// body included; [DefaultReadTimeout] if it is left out. A handler that takes
// long uploads moves it with [http.ResponseController.SetReadDeadline].
func WithReadTimeout(d time.Duration) ServerOption {
	return serverOption(func(c *serverConfig) { c.readTimeout = d })
}

// WithWriteTimeout bounds the time from the end of the request's headers to the
// end of the answer, and with it the time a handler has; [DefaultWriteTimeout]
// if it is left out. A handler that streams moves it with
// [http.ResponseController.SetWriteDeadline].
func WithWriteTimeout(d time.Duration) ServerOption {
	return serverOption(func(c *serverConfig) { c.writeTimeout = d })
}

// WithErrorLog sets where the server's own complaints go (failed handshakes,
// superfluous WriteHeader calls), at level WARN; [slog.Default], as it is when
// the server is made, if it is left out or nil.
func WithErrorLog(l *slog.Logger) ServerOption {
	return serverOption(func(c *serverConfig) { c.errorLog = l })
}

// WithBaseContext sets the context that those of all requests derive from; nil
// means [context.Background]. Cancelling it cancels every request in flight.
func WithBaseContext(ctx context.Context) ServerOption {
	return serverOption(func(c *serverConfig) { c.baseContext = ctx })
}

// NewServer returns a server for h on addr ("host:port", the host may be empty)
// with every timeout set. Either [WithTLS] or [WithPlaintext] is required: what
// goes unencrypted is asked for by name. A server made WithTLS answers 400 to
// whatever reaches its handler without TLS, should it be started by the wrong
// method; [Serve] picks the right one.
//
// The fields of the server may still be changed before it serves; [CheckTTL]
// tells whether they fit the service registry.
func NewServer(addr string, h http.Handler, opts ...ServerOption) (*http.Server, error) {
	c := serverConfig{
		endpoint:     endpoint{idleTimeout: DefaultServerIdleTimeout, maxHeaderBytes: DefaultMaxHeaderBytes},
		readTimeout:  DefaultReadTimeout,
		writeTimeout: DefaultWriteTimeout,
	}
	for _, o := range opts {
		o.applyServer(&c)
	}
	if !c.readHeaderGiven {
		c.readHeaderTimeout = min(DefaultReadHeaderTimeout, c.readTimeout)
	}
	if err := c.validate(addr, h); err != nil {
		return nil, fmt.Errorf("httpmw: NewServer: %w", err)
	}
	return c.build(addr, h), nil
}

func (c *serverConfig) validate(addr string, h http.Handler) error {
	errs := []error{
		c.check(),
		positive("ReadHeaderTimeout", c.readHeaderTimeout),
		positive("ReadTimeout", c.readTimeout),
		positive("WriteTimeout", c.writeTimeout),
	}
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
		errs = append(errs, fmt.Errorf("addr %q: must be host:port", addr))
	}
	if h == nil {
		// net/http would serve its DefaultServeMux, with all that others registered there.
		errs = append(errs, errors.New("handler: must not be nil"))
	}
	if c.readHeaderTimeout > c.readTimeout {
		errs = append(errs, fmt.Errorf("ReadHeaderTimeout %v: must not be above the ReadTimeout of %v", c.readHeaderTimeout, c.readTimeout))
	}
	switch {
	case c.tlsGiven == c.plaintext:
		errs = append(errs, errors.New("TLS: exactly one of WithTLS and WithPlaintext is required"))
	case c.tls != nil && len(c.tls.Certificates) == 0 && c.tls.GetCertificate == nil && c.tls.GetConfigForClient == nil:
		errs = append(errs, errors.New("TLS: the config has no certificate"))
	}
	return errors.Join(errs...)
}

func (c *serverConfig) build(addr string, h http.Handler) *http.Server {
	if c.errorLog == nil {
		c.errorLog = slog.Default()
	}
	handler := &serverHandler{next: h, tls: !c.plaintext}
	srv := &http.Server{
		Addr:              addr,
		Handler:           handler,
		ConnState:         handler.connState,
		ReadHeaderTimeout: c.readHeaderTimeout,
		ReadTimeout:       c.readTimeout,
		WriteTimeout:      c.writeTimeout,
		IdleTimeout:       c.idleTimeout,
		MaxHeaderBytes:    c.maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(c.errorLog.Handler(), slog.LevelWarn),
		Protocols:         new(http.Protocols),
	}
	if ctx := c.baseContext; ctx != nil {
		srv.BaseContext = func(net.Listener) context.Context { return ctx }
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(c.h2c)
	if !c.plaintext {
		srv.Protocols.SetHTTP2(true)
		srv.TLSConfig = c.tlsConfig()
	}
	return srv
}

// Serve serves on ln as srv was made to: HTTPS after [WithTLS], plain HTTP after
// [WithPlaintext]. It blocks, always returns a non-nil error, and that is
// [http.ErrServerClosed] after [Shutdown] or Close. It closes ln. A server that
// [NewServer] did not make, or whose Handler was replaced, is an error.
func Serve(srv *http.Server, ln net.Listener) error {
	h, ok := srv.Handler.(*serverHandler)
	if !ok {
		return errors.Join(errors.New("httpmw: Serve: not a server of NewServer"), ln.Close())
	}
	h.listeners.Store(&ln, nil)
	defer h.listeners.Delete(&ln)
	var err error
	if h.tls {
		err = srv.ServeTLS(ln, "", "")
	} else {
		err = srv.Serve(ln)
	}
	if h.stopping.Load() {
		return http.ErrServerClosed
	}
	return err
}

// CheckTTL reports which timeouts of srv are missing, or not below ttl: the time
// after which the service registry drops an instance that has stopped sending
// heartbeats. A timeout at or above it lets a client wait on an instance that
// everybody else has given up. It returns nil if all of them fit.
func CheckTTL(srv *http.Server, ttl time.Duration) error {
	if ttl <= 0 {
		return fmt.Errorf("httpmw: CheckTTL: ttl %v: must be positive", ttl)
	}
	var errs []error
	for _, f := range []struct {
		name string
		d    time.Duration
	}{
		{"ReadHeaderTimeout", srv.ReadHeaderTimeout},
		{"ReadTimeout", srv.ReadTimeout},
		{"WriteTimeout", srv.WriteTimeout},
		{"IdleTimeout", srv.IdleTimeout},
	} {
		if f.d <= 0 || f.d >= ttl {
			errs = append(errs, fmt.Errorf("httpmw: CheckTTL: %s %v: must be above zero and below the registry TTL of %v", f.name, f.d, ttl))
		}
	}
	return errors.Join(errs...)
}

// freshTime bounds the wait of [Shutdown] for connections that have sent nothing yet.
const freshTime = 250 * time.Millisecond

// Shutdown stops srv as its method of that name does, but serves the requests that
// are on their way on connections just made: net/http closes those without an
// answer. It waits a quarter of a second for them at the most, and not five as
// net/http does for a connection that nobody uses. srv is one that
// [Serve] serves; of any other it is the method.
func Shutdown(ctx context.Context, srv *http.Server) error {
	h, ok := srv.Handler.(*serverHandler)
	if !ok {
		return srv.Shutdown(ctx)
	}
	h.stopping.Store(true)
	h.listeners.Range(func(l, _ any) bool {
		_ = (*l.(*net.Listener)).Close() // Serve says so
		return true
	})
	for end := time.Now().Add(freshTime); h.fresh() && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(time.Millisecond)
	}
	// Those that nobody uses: net/http would wait five seconds for them.
	h.silent.Range(func(c, _ any) bool {
		_ = c.(net.Conn).Close()
		return true
	})
	return srv.Shutdown(ctx)
}

// serverHandler remembers how its server was meant to be served, by what, and which
// connections have sent nothing yet.
type serverHandler struct {
	next http.Handler
	tls  bool

	stopping  atomic.Bool
	listeners sync.Map // of *net.Listener
	silent    sync.Map // of net.Conn
}

// connState is the server's ConnState.
func (h *serverHandler) connState(c net.Conn, s http.ConnState) {
	switch {
	case s == http.StateIdle: // it was active before, and is not silent any more
	case !reflect.ValueOf(c).Comparable(): // one of a listener of the user's
	case s == http.StateNew:
		h.silent.Store(c, nil)
	default:
		h.silent.Delete(c)
	}
}

// fresh reports whether there is a connection that has sent nothing yet.
func (h *serverHandler) fresh() bool {
	found := false
	h.silent.Range(func(any, any) bool { found = true; return false })
	return found
}

func (h *serverHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.tls && r.TLS == nil {
		w.Header().Set("Connection", "close")
		WriteProblem(w, r, Problem{Status: http.StatusBadRequest, Detail: "this server speaks HTTPS only"})
		return
	}
	h.next.ServeHTTP(w, r)
}

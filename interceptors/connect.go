// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"sync"

	"google.golang.org/grpc/credentials"
)

// connectWatch remembers why connecting failed last: grpc-go tells it only in
// the text of a call's error. It is safe for concurrent use.
type connectWatch struct {
	mu      sync.Mutex
	last    error
	waiting map[*context.CancelFunc]bool
}

// note notes how a step ended: nil means it went well.
func (w *connectWatch) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = err
	for wake := range w.waiting {
		(*wake)()
	}
}

func (w *connectWatch) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// wakeable returns a context that ends with ctx and when something is noted:
// from one failed attempt to the next a connection's state stays the same, so
// that waiting for another one would miss the news.
func (w *connectWatch) wakeable(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, wake := context.WithCancel(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = map[*context.CancelFunc]bool{}
	}
	w.waiting[&wake] = true
	return ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting, &wake)
		wake()
	}
}

// dial connects as grpc-go does without a proxy. Of unix sockets it is given
// "unix:path" or, of abstract ones, the name with its leading NUL.
func (w *connectWatch) dial(ctx context.Context, addr string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", strings.TrimPrefix(path, "//")
	} else if strings.HasPrefix(addr, "\x00") {
		network = "unix"
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		w.note(err)
	}
	return conn, err
}

// hasProxy reports whether the environment names a proxy for connections.
func hasProxy() bool { return os.Getenv("HTTPS_PROXY") != "" || os.Getenv("https_proxy") != "" }

// watchedCredentials watch handshakes.
type watchedCredentials struct {
	credentials.TransportCredentials
	watch *connectWatch // shared by clones
}

// ClientHandshake implements [credentials.TransportCredentials].
func (w *watchedCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := w.TransportCredentials.ClientHandshake(ctx, authority, raw)
	w.watch.note(err)
	if err != nil {
		return nil, nil, err
	}
	return &watchedConn{Conn: conn, watch: w.watch}, info, nil
}

// Clone implements [credentials.TransportCredentials].
func (w *watchedCredentials) Clone() credentials.TransportCredentials {
	return &watchedCredentials{TransportCredentials: w.TransportCredentials.Clone(), watch: w.watch}
}

// watchedConn watches reading: with TLS 1.3 a client learns only there that the
// server has refused its certificate.
type watchedConn struct {
	net.Conn
	watch *connectWatch
}

// Read implements [net.Conn].
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		c.watch.note(err)
	}
	return n, err
}

// isPermanent reports whether connecting, having failed with err, will fail
// again.
func isPermanent(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	// What a server says in an alert it will say again, unless that is that
	// something has gone wrong in it.
	alert, ok := errors.AsType[*net.OpError](err)
	return ok && alert.Op == "remote error" && alert.Err.Error() != tls.AlertError(alertInternalError).Error()
}

// alertInternalError is the TLS alert internal_error (RFC 8446 §6.2).
const alertInternalError = 80

// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrBehind says that the cluster that is watched has not got as far as the one that was listed.
// A member is behind, or the registry lost its memory; in either case the watch would be
// silent for nobody knows how long.
var ErrBehind = errors.New("etcd: the watch begins before the list")

// fault says what was tried, and what can be done about the error if that is known. The
// errors of etcd (package rpctypes) and of contexts can be found in it. It returns nil for
// nil.
func (b *Backend) fault(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	err = rpctypes.Error(err)
	if code := status.Code(err); ctx.Err() != nil && (code == codes.DeadlineExceeded || code == codes.Canceled) {
		return fmt.Errorf("etcd: %s: no answer from %s: %w", what, strings.Join(b.client.Endpoints(), ", "), ctx.Err())
	}
	if hint := b.hint(err); hint != "" {
		return fmt.Errorf("etcd: %s: %w (%s)", what, err, hint)
	}
	return fmt.Errorf("etcd: %s: %w", what, err)
}

// hint returns what to do about an error that setting something right will end.
func (b *Backend) hint(err error) string {
	switch {
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Sprintf("the user needs a role with readwrite permission on the prefix %q", b.keys.prefix+"/")
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return "etcd wants to know who is calling: set a user and a password"
	case errors.Is(err, rpctypes.ErrNoSpace):
		return "its database is full: nothing can be registered until there is space and the alarm is disarmed"
	case noHandshake(err.Error()):
		return "perhaps no TLS is spoken there: if that is meant, the endpoint has to begin with http://"
	case b.owned && b.cfg.tls != nil && hungUp(err.Error()):
		return "perhaps it wants a certificate from this side, and one that it trusts"
	}
	return ""
}

// hungUp reports whether a connection that was just made was ended by the other side: in
// TLS 1.3, a server refuses certificates after the handshake, and its reason may be lost.
func hungUp(text string) bool {
	return strings.Contains(text, "broken pipe") || strings.Contains(text, "error reading server preface")
}

// noHandshake reports whether somebody who speaks no TLS may have been greeted with it.
func noHandshake(text string) bool {
	_, text, found := strings.Cut(text, "handshake failed: ")
	return found && (strings.Contains(text, "EOF") || strings.Contains(text, "connection reset") || strings.Contains(text, "does not look like a TLS handshake"))
}

// plain returns the error of etcd that a text is about: the reason why a watch was not
// begun comes as the text of another error.
func plain(err error) error {
	if err == nil {
		return nil
	}
	if _, desc, ok := strings.Cut(err.Error(), " desc = "); ok {
		if known := rpctypes.Error(errors.New(desc)); known.Error() == desc {
			return known
		}
	}
	return err
}

// refused reports whether it is the token that was refused, and another one may do.
func refused(err error) bool {
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrInvalidAuthToken) || errors.Is(err, rpctypes.ErrAuthOldRevision) || errors.Is(err, rpctypes.ErrUserEmpty)
}

// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"

	"github.com/fairlead-go/fairlead/internal/scope"
)

// Limits of what one request forwards, unless [WithForwardLimits] says otherwise.
const (
	DefaultForwardValues = 16
	DefaultForwardBytes  = 4096
)

// Header is one business header that travels with a request: its key in lower
// case and its values, plain (see [Carrier]). It is not to be modified.
type Header = scope.Header

// Forward is an allow-list of business headers, such as a tenant, a locale or a
// canary mark, that are taken from an incoming request and sent on with every
// call made for it. Nothing else of a request's headers is ever sent on.
//
// A value is forwarded as it is or not at all: it is printable ASCII, because
// gRPC fails a whole call over anything else; bytes travel under a key that ends
// in -bin. A header with a bad value, or one that would exceed the limits on the
// number of values or on bytes (keys and values), is dropped as a whole.
//
// A nil *Forward forwards nothing. A Forward is immutable and safe for
// concurrent use.
type Forward struct {
	keys      []string // lower case
	canonical []string // the same, as net/http stores them
	maxValues int
	maxBytes  int
}

// ForwardOption changes a [Forward] under construction.
type ForwardOption interface{ applyForward(*Forward) error }

type forwardOption func(*Forward) error

func (o forwardOption) applyForward(f *Forward) error { return o(f) }

// WithForwardLimits sets how many values and how many bytes, of keys and values
// together, one request forwards. Both must be positive. The defaults are
// [DefaultForwardValues] and [DefaultForwardBytes].
func WithForwardLimits(values, bytes int) ForwardOption {
	return forwardOption(func(f *Forward) error {
		if values <= 0 || bytes <= 0 {
			return fmt.Errorf("ctxutil: NewForward: WithForwardLimits(%d, %d): limits must be positive", values, bytes)
		}
		f.maxValues, f.maxBytes = values, bytes
		return nil
	})
}

// NewForward returns the allow-list of the named headers, in any case. It fails
// if there is none, and on a name that is reserved ([IsReserved]), given twice,
// or not made of letters, digits and - _ . alone, which is what HTTP and gRPC
// both carry.
func NewForward(keys []string, opts ...ForwardOption) (*Forward, error) {
	f := &Forward{maxValues: DefaultForwardValues, maxBytes: DefaultForwardBytes}
	var errs []error
	if len(keys) == 0 {
		errs = append(errs, errors.New("ctxutil: NewForward: no header named"))
	}
	for _, key := range keys {
		k := toLower(key)
		if err := checkForwardKey(k); err != nil {
			errs = append(errs, fmt.Errorf("ctxutil: NewForward: header %q: %w", key, err))
		} else if slices.Contains(f.keys, k) {
			errs = append(errs, fmt.Errorf("ctxutil: NewForward: header %q is named twice", key))
		}
		f.keys = append(f.keys, k)
		f.canonical = append(f.canonical, textproto.CanonicalMIMEHeaderKey(k))
	}
	for _, o := range opts {
		errs = append(errs, o.applyForward(f))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return f, nil
}

// Keys returns the names on the list, lower case, in the order given.
func (f *Forward) Keys() []string {
	if f == nil {
		return nil
	}
	return slices.Clone(f.keys)
}

// Allows reports whether key, in any case, is on the list.
func (f *Forward) Allows(key string) bool {
	return f != nil && slices.ContainsFunc(f.keys, func(k string) bool { return strings.EqualFold(k, key) })
}

// Extract returns the headers on the list that c has, in the order of the list,
// and how many it dropped because of their values or the limits. Headers that
// c's Connection header names are not taken. If c has none, it costs no
// allocation.
func (f *Forward) Extract(c Carrier) (headers []Header, dropped int) {
	if f == nil {
		return nil, 0
	}
	room := forwardRoom{values: f.maxValues, bytes: f.maxBytes}
	for i, key := range f.keys {
		stored := key
		if c.http {
			stored = f.canonical[i]
		}
		if len(c.m[stored]) == 0 || c.namedByConnection(key) {
			continue
		}
		values := c.Values(stored)
		if !room.take(key, values) {
			dropped++
			continue
		}
		headers = append(headers, Header{Key: key, Values: slices.Clone(values)})
	}
	return headers, dropped
}

// Inject writes the headers that are on the list to c and returns how many of
// those it dropped because of their values or the limits. A header that c has
// already stays as it is: what was set for one call goes before what its request
// brought. If there are no headers, it costs no allocation.
func (f *Forward) Inject(headers []Header, c Carrier) (dropped int) {
	if f == nil {
		return 0
	}
	room := forwardRoom{values: f.maxValues, bytes: f.maxBytes}
	for _, h := range headers {
		i := slices.Index(f.keys, h.Key)
		if i < 0 {
			continue
		}
		stored := h.Key
		if c.http {
			stored = f.canonical[i]
		}
		if c.Has(stored) {
			continue
		}
		if !room.take(h.Key, h.Values) {
			dropped++
			continue
		}
		c.SetAll(stored, h.Values)
	}
	return dropped
}

// Forwarded returns the business headers that calls made with ctx send on. The
// slice is not to be modified.
func Forwarded(ctx context.Context) []Header {
	request := scope.From(ctx)
	added, _ := ctx.Value(addedHeadersKey{}).(*addedHeaders)
	switch {
	case request == nil && added == nil:
		return nil
	case added == nil || request != added.request && len(request.Forwarded) > 0:
		// Nothing was added, or a newer request than the one it was added to
		// has headers of its own.
		return request.Forwarded
	default:
		return added.headers
	}
}

// ForwardedValue returns the first value of a forwarded header, or "".
func ForwardedValue(ctx context.Context, key string) string {
	for _, h := range Forwarded(ctx) {
		if strings.EqualFold(h.Key, key) && len(h.Values) > 0 {
			return h.Values[0]
		}
	}
	return ""
}

// WithForwarded returns a context whose calls also send the business header key,
// in place of one of that name; no values remove it. A client sends it only if
// it is on the allow-list of that client ([Forward.Inject]).
//
// It fails, and returns ctx as it is, if the key is reserved or not valid, a
// value is not printable ASCII (of a key that does not end in -bin), or if the
// request would exceed [DefaultForwardValues] or [DefaultForwardBytes]. The
// request itself is not changed, so it is safe for concurrent use.
func WithForwarded(ctx context.Context, key string, values ...string) (context.Context, error) {
	key = toLower(key)
	if err := checkForwardKey(key); err != nil {
		return ctx, fmt.Errorf("ctxutil: WithForwarded: header %q: %w", key, err)
	}
	before := Forwarded(ctx)
	headers := make([]Header, 0, len(before)+1)
	room := forwardRoom{values: DefaultForwardValues, bytes: DefaultForwardBytes}
	for _, h := range before {
		if h.Key != key {
			headers = append(headers, h)
			room.values -= len(h.Values)
			room.bytes -= headerBytes(h.Key, h.Values)
		}
	}
	if len(values) > 0 {
		if !validForwardValues(key, values) {
			return ctx, fmt.Errorf("ctxutil: WithForwarded: header %q: a value is not printable ASCII", key)
		}
		if !room.take(key, values) {
			return ctx, fmt.Errorf("ctxutil: WithForwarded: header %q: more than %d values or %d bytes in all", key, DefaultForwardValues, DefaultForwardBytes)
		}
		headers = append(headers, Header{Key: key, Values: slices.Clone(values)})
	}
	return &addedHeaders{Context: ctx, request: scope.From(ctx), headers: headers}, nil
}

// addedHeaders is a context with other forwarded headers than its request came with.
type addedHeaders struct {
	context.Context
	request *scope.Scope
	headers []Header
}

type addedHeadersKey struct{}

func (a *addedHeaders) Value(key any) any {
	if _, ok := key.(addedHeadersKey); ok {
		return a
	}
	return a.Context.Value(key)
}

// forwardRoom is what is left of the limits of one request.
type forwardRoom struct{ values, bytes int }

// take uses up room for a header; false if it is not valid or does not fit.
func (r *forwardRoom) take(key string, values []string) bool {
	n := headerBytes(key, values)
	if len(values) == 0 || len(values) > r.values || n > r.bytes || !validForwardValues(key, values) {
		return false
	}
	r.values -= len(values)
	r.bytes -= n
	return true
}

func headerBytes(key string, values []string) int {
	n := len(key)
	for _, v := range values {
		n += len(v)
	}
	return n
}

func checkForwardKey(key string) error {
	if IsReserved(key) {
		return errors.New("the name is empty or reserved")
	}
	for i := range len(key) {
		if c := key[i]; !isAlphaNum(c) && c != '-' && c != '_' && c != '.' {
			return errors.New("the name has characters other than letters, digits, dot, dash and underscore")
		}
	}
	return nil
}

func validForwardValues(key string, values []string) bool {
	if isBin(key) {
		return true
	}
	for _, v := range values {
		for i := range len(v) {
			if v[i] < ' ' || v[i] > '~' {
				return false
			}
		}
	}
	return true
}

// SPDX-License-Identifier: Apache-2.0

package fairlead

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/discovery/httpresolver"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/internal/semconv"
)

// Dial returns a connection to a gRPC target, to be made once and shared. The
// service closes it when it ends. Options add to the service's own.
//
// With a registry ([WithRegistry]), a target that is nothing but a name is that of a
// service there: "inventory" stands for "registry:///inventory", which may have
// more to say ("registry:///inventory?tag=canary"; see package grpcresolver).
//
// The policies of its calls ([WithPolicies]) are those of the service that the
// target names: what is left of it without scheme, authority, port and query,
// such as "inventory" of "dns:///inventory:8443"; see [Service.DialAs].
func (s *Service) Dial(target string, opts ...interceptors.ClientOption) (*interceptors.Client, error) {
	return s.DialAs(serviceName(target), target, opts...)
}

// DialAs is Dial for a target that does not name the downstream service, such as
// an address: name is what its policies are called.
func (s *Service) DialAs(name, target string, opts ...interceptors.ClientOption) (*interceptors.Client, error) {
	all := []interceptors.ClientOption{interceptors.WithClientInterceptors(
		interceptors.Record(s.recorder),
		interceptors.Deadline(s.budget),
		interceptors.Policies(s.policies.Service(name)),
		interceptors.Attempts(s.recorder))}
	switch {
	case s.config.plaintext:
		all = append(all, interceptors.WithPlaintext())
	case s.config.clientTLS != nil:
		all = append(all, interceptors.WithTLS(s.config.clientTLS))
	}
	all = append(all, interceptors.WithClientInterceptors(s.config.client...))
	target, resolve := s.resolve(target)
	if resolve {
		all = append(all, interceptors.WithDialOptions(grpc.WithResolvers(s.resolver), grpc.WithNoProxy(),
			grpc.WithDefaultServiceConfig(serviceConfig)))
	}
	cc, err := interceptors.NewClient(target, append(all, opts...)...)
	if err != nil {
		return nil, err
	}
	if !s.keep(func() { s.clients = append(s.clients, cc) }) {
		return nil, errors.Join(errReleased, cc.Close())
	}
	return cc, nil
}

// resolve returns the whole target, and whether the registry resolves it.
func (s *Service) resolve(target string) (string, bool) {
	switch {
	case s.resolver == nil:
		return target, false
	case strings.ContainsAny(target, ":/?"):
		return target, strings.HasPrefix(target, registryScheme+":")
	default:
		return registryScheme + ":///" + target, true
	}
}

// serviceName returns the name in a gRPC target: "inventory" of
// "dns:///inventory:8443", "inventory:8443" and "consul:///inventory?ns=prod".
func serviceName(target string) string {
	if scheme, rest, ok := strings.Cut(target, "://"); ok && scheme != "unix" {
		if _, endpoint, ok := strings.Cut(rest, "/"); ok {
			target = endpoint
		}
	} else if scheme, rest, ok := strings.Cut(target, ":"); ok && (scheme == "dns" || scheme == "passthrough") {
		target = rest
	}
	target, _, _ = strings.Cut(target, "?")
	if i := strings.LastIndexByte(target, ':'); i > 0 && strings.Trim(target[i+1:], "0123456789") == "" {
		target = target[:i]
	}
	return target
}

// HTTPClient returns a client for the downstream service called name, with a
// pool and policies of its own, to be made once and shared. Options add to the
// service's own.
//
// With a registry ([WithRegistry]), requests to http://name/ or https://name/ go to
// the instances of the service there, which prove that name by their certificates;
// see package httpresolver. For a service that is not in the registry, such as
// somebody else's, there is [Service.ExternalHTTPClient].
func (s *Service) HTTPClient(name string, opts ...httpmw.ClientOption) (*http.Client, error) {
	if s.watcher == nil {
		return s.ExternalHTTPClient(name, opts...)
	}
	r, err := httpresolver.New(name, s.watcher,
		httpresolver.WithFilter(speaks("http")),
		httpresolver.WithObserver(httpresolver.Observer{Picked: notePeer}),
		httpresolver.WithBalancer(s.balancing(name)))
	if err != nil {
		return nil, err
	}
	if !s.config.plaintext {
		opts = append([]httpmw.ClientOption{httpmw.WithTLS(r.TLSConfig(s.config.clientTLS))}, opts...)
	}
	// It comes last: what is above sees the service, and not an instance.
	client, err := s.ExternalHTTPClient(name, append(slices.Clip(opts), httpmw.WithTransports(r.Transport))...)
	if err != nil {
		r.Close()
		return nil, err
	}
	if !s.keep(func() { s.resolvers = append(s.resolvers, named{r, name}) }) {
		r.Close()
		return nil, errReleased
	}
	return client, nil
}

// notePeer adds the instance that a request is sent to to what is recorded of the
// attempt, as gRPC's records have it.
// https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span
func notePeer(ctx context.Context, p httpresolver.Picked) {
	host, port, _ := net.SplitHostPort(p.Instance.Address)
	number, _ := strconv.Atoi(port)
	ctxutil.Add(ctx, slog.String(string(semconv.NetworkPeerAddressKey), host), slog.Int(string(semconv.NetworkPeerPortKey), number))
}

// ExternalHTTPClient is HTTPClient for a service that is where its URLs say. It is
// still called name: in metrics, and where its policies are set.
func (s *Service) ExternalHTTPClient(name string, opts ...httpmw.ClientOption) (*http.Client, error) {
	all := []httpmw.ClientOption{httpmw.WithTransports(
		httpmw.RecordTransport(s.recorder, name),
		httpmw.DeadlineTransport(s.budget),
		httpmw.PoliciesTransport(s.policies.Service(name)),
		httpmw.AttemptTransport(s.recorder))}
	switch {
	case s.config.plaintext:
		all = append(all, httpmw.WithPlaintext())
	case s.config.clientTLS != nil:
		all = append(all, httpmw.WithTLS(s.config.clientTLS))
	}
	client, err := httpmw.NewClient(name, append(all, opts...)...)
	if err != nil {
		return nil, err
	}
	if !s.keep(func() { s.idle = append(s.idle, client) }) {
		return nil, errReleased
	}
	return client, nil
}

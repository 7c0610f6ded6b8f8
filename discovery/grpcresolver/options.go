// SPDX-License-Identifier: Apache-2.0

package grpcresolver

import "github.com/fairlead-go/fairlead/discovery"

// Option is an option of [New].
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	filter        func(*discovery.Instance) bool
	serviceConfig func(service string) string
	observer      Observer
}

// WithServiceConfig sets what tells the service config of a service, in JSON
// (https://github.com/grpc/grpc/blob/master/doc/service_config.md), or "" if it has none.
// One takes the place of whatever grpc.WithDefaultServiceConfig says. It is asked once
// for each connection, when that begins to resolve, and not at all with
// grpc.WithDisableServiceConfig; it must be safe for concurrent use. If gRPC cannot
// parse what it says, calls on the connection fail and the error says why.
//
// The default is none, and that makes gRPC's balancer pick_first: all calls of a
// connection go to one instance.
func WithServiceConfig(f func(service string) string) Option {
	return option(func(c *config) { c.serviceConfig = f })
}

// WithFilter calls only instances that a function chooses, besides what targets ask for,
// such as those that speak gRPC. It has to say the same of the same instance, is called
// for each when they change and must not block. The default, and nil, is all of them.
func WithFilter(f func(*discovery.Instance) bool) Option {
	return option(func(c *config) { c.filter = f })
}

// WithObserver adds one to those who are told what happens. The default is nobody.
func WithObserver(o Observer) Option {
	return option(func(c *config) { c.observer = observers(c.observer, o) })
}

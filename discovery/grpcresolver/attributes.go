// SPDX-License-Identifier: Apache-2.0

package grpcresolver

import (
	"google.golang.org/grpc/experimental/balancer/weight"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/ringhash"

	"github.com/fairlead-go/fairlead/discovery"
)

// InstanceFrom returns the instance behind an endpoint, for balancers that look at its
// zone, its weight or whatever else it has. It is nil for endpoints of other resolvers,
// and not to be changed.
func InstanceFrom(e resolver.Endpoint) *discovery.Instance {
	a, _ := e.Attributes.Value(attributeKey{}).(attribute)
	return a.Instance
}

// SetInstance returns the endpoint with what balancers are told of an instance: the
// instance, for [InstanceFrom]; its weight, for those that take gRPC's own attribute
// (ring_hash and, where it shuffles, pick_first); and its id, by which ring_hash places
// it (gRFC A76), so that one that comes back with another address keeps its keys.
//
// All of that is the endpoint's. Its addresses have no attributes: those would belong to
// the connection, and one would be made anew for a new weight.
func SetInstance(e resolver.Endpoint, in *discovery.Instance) resolver.Endpoint {
	e = weight.Set(e, weight.EndpointInfo{Weight: uint32(in.Weight)}) //nolint:gosec // 1 to MaxWeight
	e = ringhash.SetHashKey(e, in.ID)
	e.Attributes = e.Attributes.WithValue(attributeKey{}, attribute{in})
	return e
}

type attributeKey struct{}

// attribute is an instance as gRPC compares and prints it.
type attribute struct{ *discovery.Instance }

// Equal is what attributes are compared by.
func (a attribute) Equal(o any) bool {
	b, ok := o.(attribute)
	return ok && (a.Instance == b.Instance || a.Instance.Equal(b.Instance))
}

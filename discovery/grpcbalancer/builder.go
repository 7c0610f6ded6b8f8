// SPDX-License-Identifier: Apache-2.0

package grpcbalancer

import (
	"encoding/json"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/serviceconfig"
)

// Name is the name of the policy in service configs.
const Name = "fairlead"

// gRPC has one table of policies for the process, and wants it filled before it is
// used: in init functions.
func init() { balancer.Register(builder{}) }

type builder struct{}

var (
	_ balancer.Builder      = builder{}
	_ balancer.ConfigParser = builder{}
)

func (builder) Name() string { return Name }

func (builder) Build(cc balancer.ClientConn, opts balancer.BuildOptions) balancer.Balancer {
	return newConnection(cc, opts)
}

func (builder) ParseConfig(text json.RawMessage) (serviceconfig.LoadBalancingConfig, error) {
	return parseConfig(text)
}

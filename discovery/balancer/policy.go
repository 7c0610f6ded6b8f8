// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"fmt"
	"strings"
)

// Policy says how one endpoint is chosen among those that may be. Every policy gives
// an endpoint calls in proportion to its weight ([discovery.Instance.Weight]), as far
// as the policy's own measure does not say otherwise. The zero value is [P2CEWMA].
//
// [discovery.Instance.Weight]: https://pkg.go.dev/github.com/fairlead-go/fairlead/discovery#Instance
type Policy uint8

// The policies.
const (
	// P2CEWMA draws two endpoints and takes the one where a call is likely to be over
	// sooner: by latency, as a moving average, and calls in flight. It is the default:
	// of all policies it is the one that notices a slow endpoint.
	P2CEWMA Policy = iota
	// LeastRequest draws two endpoints and takes the one with fewer calls in flight.
	// It suits calls whose duration says nothing of the endpoint, such as streams.
	LeastRequest
	// RoundRobin takes one after the other; with weights, evenly spread in the order
	// of time, and not one endpoint's share in a row. It does not look at how
	// endpoints do.
	RoundRobin
	// Random draws one.
	Random

	numPolicies
)

var policyNames = [numPolicies]string{"p2c_ewma", "least_request", "round_robin", "random"}

// String returns "p2c_ewma", "least_request", "round_robin" or "random", as in
// configurations and labels.
func (p Policy) String() string {
	if p < numPolicies {
		return policyNames[p]
	}
	return "invalid"
}

// ParsePolicy is the inverse of [Policy.String]. It takes "weighted_round_robin" for
// "round_robin", which is both.
func ParsePolicy(name string) (Policy, error) {
	if name == "weighted_round_robin" {
		return RoundRobin, nil
	}
	for p, n := range policyNames {
		if n == name {
			return Policy(p), nil
		}
	}
	return 0, fmt.Errorf("balancer: policy %q: must be one of %s, weighted_round_robin", name, strings.Join(policyNames[:], ", "))
}

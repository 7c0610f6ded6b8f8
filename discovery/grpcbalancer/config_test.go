// SPDX-License-Identifier: Apache-2.0

package grpcbalancer_test

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/serviceconfig"

	"github.com/fairlead-go/fairlead/discovery/grpcbalancer"
)

func parseConfig(text string) (serviceconfig.LoadBalancingConfig, error) {
	return balancer.Get(grpcbalancer.Name).(balancer.ConfigParser).ParseConfig(json.RawMessage(text))
}

func parse(t testing.TB, text string) serviceconfig.LoadBalancingConfig {
	t.Helper()
	c, err := parseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfig(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`{"policy":"weighted_round_robin"}`,
		`{"policy":"p2c_ewma","decay":"10s","slowStart":"1m0s","slowStartShare":0.2,"zone":"eu-1a","zoneOverprovision":2,"panicShare":0.3,
		  "subset":{"size":20,"client":"shop-1"},
		  "outlierEjection":{"interval":"5s","minCalls":10,"minEndpoints":3,"consecutiveFailures":7,"failureShare":0.5,"deviation":3,"time":"1s","maxTime":"10s","maxShare":0.2}}`,
		`{"outlierEjection":{"off":true}}`,
		`{"outlierEjection":{"time":"10m"}}`, // the longest is then as long
		`{"slowStart":"0s"}`,
	} {
		if _, err := parseConfig(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		``:                                   `grpcbalancer: config: EOF`,
		`[]`:                                 `grpcbalancer: config: json: cannot unmarshal array`,
		`{} {}`:                              `grpcbalancer: config: must be one JSON object`,
		`{"polcy":"random"}`:                 `grpcbalancer: config: json: unknown field "polcy"`,
		`{"policy":"fastest"}`:               `balancer: policy "fastest": must be one of p2c_ewma, least_request, round_robin, random, weighted_round_robin`,
		`{"slowStart":30}`:                   `duration 30: must be text such as "1.5s"`,
		`{"slowStart":"30"}`:                 `duration "30": must be such as "1.5s"`,
		`{"slowStart":"-1s"}`:                `balancer: slow start -1s: must be 0 or more`,
		`{"zoneOverprovision":0.5}`:          `balancer: zone overprovisioning 0.5: must be at least 1`,
		`{"subset":{"size":3}}`:              `balancer: subset client "": must name this process`,
		`{"subset":{"client":"me"}}`:         `balancer: subset size 0: must be at least 1`,
		`{"outlierEjection":{"max":1}}`:      `unknown field "max"`,
		`{"outlierEjection":{"maxShare":2}}`: `balancer: max ejected share 2: must be more than 0 and at most 1`,
	} {
		if _, err := parseConfig(text); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "grpcbalancer: ") {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
	if _, err := parseConfig(`{"policy":"x","decay":"0s","panicShare":3}`); strings.Count(err.Error(), "must be") != 3 {
		t.Errorf("%v, want all three", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(`{"policy":"random","slowStart":"1s","subset":{"size":1,"client":"a"},"outlierEjection":{"time":"1s"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig(text)
		if err != nil {
			return
		}
		b := balancer.Get(grpcbalancer.Name).Build(&channel{conns: map[string]*conn{}}, balancer.BuildOptions{})
		defer b.Close()
		if err := b.UpdateClientConnState(balancer.ClientConnState{BalancerConfig: c}); err != balancer.ErrBadResolverState { //nolint:errorlint // as gRPC compares
			t.Errorf("%s: %v", text, err)
		}
	})
}

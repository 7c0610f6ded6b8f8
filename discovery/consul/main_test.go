// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery/consul"
	"github.com/fairlead-go/fairlead/discovery/consul/internal/consultest"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newBackend returns a back end that is closed with the test.
func newBackend(t discoverytest.TB, opts ...consul.Option) *consul.Backend {
	t.Helper()
	b, err := consul.New(opts...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// newAgent returns a scripted agent, and a back end on it.
func newAgent(t discoverytest.TB, opts ...consul.Option) (*consultest.Agent, *consul.Backend) {
	t.Helper()
	agent := consultest.New()
	t.Cleanup(agent.Close)
	return agent, newBackend(t, append([]consul.Option{consul.WithTransport(agent.Transport())}, opts...)...)
}

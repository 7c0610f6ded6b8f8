// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"os"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
	"github.com/fairlead-go/fairlead/internal/drill"
)

func TestMain(m *testing.M) {
	drill.Main(m, func() (discovery.Catalog, error) { return consul.FromEnv(discovery.NewSettings(os.LookupEnv)) })
}

var registry = drill.Registry{
	Start:    drill.StartConsul,
	Leader:   drill.ConsulLeader,
	Variable: "CONSUL_HTTP_ADDR",
	One:      true,
	Open: func(t testing.TB, addr string) discovery.Catalog {
		backend, err := consul.New(consul.WithAddress(addr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := backend.Close(); err != nil {
				t.Error(err)
			}
		})
		return backend
	},
}

func TestRollingRestart(t *testing.T) { t.Parallel(); registry.RollingRestart(t) }

func TestKill(t *testing.T) { t.Parallel(); registry.Kill(t) }

func TestLeaderLoss(t *testing.T) { t.Parallel(); registry.LeaderLoss(t) }

func TestOutage(t *testing.T) {
	t.Parallel()
	away := 30 * time.Second
	if testing.Short() {
		away = 8 * time.Second // longer than the time to live, all the same
	}
	registry.Outage(t, away)
}

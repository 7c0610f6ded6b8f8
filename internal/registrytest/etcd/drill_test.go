// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
	"github.com/fairlead-go/fairlead/internal/drill"
)

func TestMain(m *testing.M) {
	drill.Main(m, func() (discovery.Catalog, error) { return etcd.FromEnv(discovery.NewSettings(os.LookupEnv)) })
}

var registry = drill.Registry{
	Start:    drill.StartEtcd,
	Leader:   drill.EtcdLeader,
	Variable: "ETCD_ENDPOINTS",
	Open: func(t testing.TB, addr string) discovery.Catalog {
		backend, err := etcd.New(etcd.WithEndpoints(strings.Split(addr, ",")...))
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

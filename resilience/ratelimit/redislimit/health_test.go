// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fairlead-go/fairlead/health"
)

// TestHealth holds health.Redis, which knows no client, against the client that this
// module knows.
func TestHealth(t *testing.T) {
	s := startServer(t)
	client := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1, ContextTimeoutEnabled: true})
	defer client.Close()
	cluster := redis.UniversalClient(client)
	checks := map[string]health.Check{"client": health.Redis(client), "universal": health.Redis(cluster)}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for name, check := range checks {
		if err := check(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.signal(syscall.SIGSTOP)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := checks["client"](short); err == nil {
		t.Error("a server that is stopped passes")
	}
	s.signal(syscall.SIGCONT)
	s.stop(syscall.SIGKILL)
	for name, check := range checks {
		if err := check(ctx); err == nil {
			t.Errorf("%s: a server that is gone passes", name)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fairlead-go/fairlead/resilience/ratelimit/redislimit"
)

func TestBadValues(t *testing.T) {
	for _, tc := range []struct {
		limit int
		opt   redislimit.Option
		want  string
	}{
		{0, redislimit.Options(), "redislimit: limit 0: must be from 1 to 2147483647"},
		{10, redislimit.WithWindow(time.Minute, time.Microsecond), "redislimit: slice 1µs: must be at least 1ms, in whole milliseconds"},
		{10, redislimit.WithWindow(time.Minute, 0), "redislimit: slice 0s: must be at least 1ms, in whole milliseconds"},
		{10, redislimit.WithWindow(time.Minute, 7*time.Second), "redislimit: window 1m0s: must be 1 to 10000 times the slice, 7s"},
		{10, redislimit.WithWindow(time.Hour, 100*time.Millisecond), "redislimit: window 1h0m0s: must be 1 to 10000 times the slice, 100ms"},
		{10, redislimit.WithTimeout(0), "redislimit: timeout 0s: must be from 1ms to the window, 1m0s"},
		{10, redislimit.WithTimeout(time.Hour), "redislimit: timeout 1h0m0s: must be from 1ms to the window, 1m0s\nredislimit: recheck 1s: must be at least the timeout, 1h0m0s"},
		{10, redislimit.WithRecheck(time.Millisecond), "redislimit: recheck 1ms: must be at least the timeout, 50ms"},
		{10, redislimit.WithBatch(11, time.Second), "redislimit: batch 11: must be from 1 to the limit, 10"},
		{10, redislimit.WithBatch(2, 0), "redislimit: batch hold 0s: must be from 1ms to the window, 1m0s"},
		{10, redislimit.WithLocal(-1, 1), "redislimit: local limit -1: must be more than 0 events per second, or rate.Inf"},
		{10, redislimit.WithLocal(1, 0), "redislimit: local burst 0: must be at least 1"},
		{10, redislimit.WithMaxKeys(0), "redislimit: max keys 0: must be at least 1"},
		{10, redislimit.WithPrefix(""), `redislimit: prefix "": must be a text without braces`},
		{10, redislimit.WithPrefix("a{b}"), `redislimit: prefix "a{b}": must be a text without braces`},
	} {
		if _, err := redislimit.New("orders", &fake{}, tc.limit, tc.opt); err == nil || err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
	if _, err := redislimit.New("", &fake{}, 1); err == nil || err.Error() != `redislimit: name "": must not be empty` {
		t.Errorf("no name: %v", err)
	}
	if l, err := redislimit.New("orders", &fake{}, math.MaxInt32); err != nil || l.Name() != "orders" {
		t.Errorf("the largest limit: %v", err)
	}
}

// TestClientMustMindTimeouts: with go-redis's default, a Redis that hangs would hold
// a call for five seconds.
func TestClientMustMindTimeouts(t *testing.T) {
	alone := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	for _, c := range []redis.UniversalClient{alone, cluster, ring} {
		if _, err := redislimit.New("orders", c, 1); err == nil || !strings.HasPrefix(err.Error(), "redislimit: client ContextTimeoutEnabled false: must be true") {
			t.Errorf("%T: %v", c, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	defer func() {
		if r := recover(); r != "redislimit: New: nil client" {
			t.Errorf("panic %v", r)
		}
	}()
	_, _ = redislimit.New("orders", nil, 1)
}

func TestNewClient(t *testing.T) {
	c := redislimit.NewClient(redis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}, ReadTimeout: 3 * time.Second})
	defer c.Close()
	o := c.(*redis.Client).Options()
	if !o.ContextTimeoutEnabled || o.MaxRetries != 0 || o.DialerRetries != 1 || o.DialTimeout != time.Second || o.ReadTimeout != 3*time.Second || o.WriteTimeout != time.Second {
		t.Errorf("%+v", o)
	}
}

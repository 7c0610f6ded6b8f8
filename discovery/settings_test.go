// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestSettings(t *testing.T) {
	s := discovery.NewSettings(environment("A", "", "B", "from-b", "TOKEN", "s3cret", "LIST", " x, ,http://u:p@y ", "T", "250ms", "YES", "true", "N", "3"))
	s.UseFile("registry.yaml", map[string]discovery.FileValue{
		"address": {"from-file", 3, 12}, "zone": {"from-file", 4, 9}, "retries": {"7", 5, 11},
	})
	if got := s.String("address", "fallback", "A", "B"); got != "from-b" {
		t.Errorf("the environment does not win: %q", got)
	}
	if got := s.String("zone", "fallback", "A"); got != "from-file" {
		t.Errorf("an empty variable hides the file: %q", got)
	}
	if got := s.String("prefix", "fallback"); got != "fallback" {
		t.Errorf("got %q", got)
	}
	if got := s.Secret("token", "TOKEN"); got != "s3cret" {
		t.Errorf("got %q", got)
	}
	s.Secret("password")
	if got := s.List("endpoints", "", "LIST"); !slices.Equal(got, []string{"x", "http://u:p@y"}) {
		t.Errorf("got %q", got)
	}
	if s.Duration("timeout", time.Second, "T") != 250*time.Millisecond || !s.Bool("tls", false, "YES") || s.Int("retries", 1, "X") != 7 || s.Int("n", 1, "N") != 3 || s.Duration("wait", time.Minute) != time.Minute {
		t.Error("a typed setting is wrong")
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	var lines []string
	for _, setting := range s.All() {
		lines = append(lines, setting.String())
	}
	want := []string{
		"address = from-b (B)", "zone = from-file (registry.yaml:4:9)", "prefix = fallback (default)", "token = (set) (TOKEN)", "password =  (default)",
		"endpoints = x,http://%28set%29@y (LIST)", "timeout = 250ms (T)", "tls = true (YES)", "retries = 7 (registry.yaml:5:11)", "n = 3 (N)", "wait = 1m0s (default)",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestSettingsNameWhatIsWrong(t *testing.T) {
	s := discovery.NewSettings(environment("T", "soon", "B", "perhaps"))
	s.UseFile("registry.yaml", map[string]discovery.FileValue{"retries": {"many", 5, 11}, "retrys": {"x", 2, 1}})
	if s.Duration("timeout", time.Second, "T") != time.Second || s.Bool("tls", true, "B") != true || s.Int("retries", 3) != 3 {
		t.Error("a value that makes no sense was taken")
	}
	for _, want := range []string{
		`discovery: timeout "soon": must be a duration such as "1.5s" (from T)`, `discovery: tls "perhaps": must be true or false (from B)`,
		`discovery: retries "many": must be a whole number (from registry.yaml:5:11)`, `discovery: registry.yaml:2:1: "retrys": no such setting`,
	} {
		if err := s.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func ExampleSettings() {
	s := discovery.NewSettings(environment("CONSUL_HTTP_ADDR", "consul.internal:8500", "CONSUL_HTTP_TOKEN", "b1gs3cr3t"))
	s.String("address", "127.0.0.1:8500", "CONSUL_HTTP_ADDR")
	s.Secret("token", "CONSUL_HTTP_TOKEN")
	s.Duration("wait", 5*time.Minute)
	for _, setting := range s.All() {
		fmt.Println(setting)
	}
	// Output:
	// address = consul.internal:8500 (CONSUL_HTTP_ADDR)
	// token = (set) (CONSUL_HTTP_TOKEN)
	// wait = 5m0s (default)
}

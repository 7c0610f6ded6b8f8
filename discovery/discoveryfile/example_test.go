// SPDX-License-Identifier: Apache-2.0

package discoveryfile_test

import (
	"fmt"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/discoveryfile"
)

// The environment wins over the file, and the file over the default; and each value says
// where it came from.
func Example() {
	file, err := discoveryfile.Parse("registry.yaml", []byte(`
consul:
  address: 10.0.0.1:8500
  wait: 5m
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	environment := map[string]string{"CONSUL_HTTP_ADDR": "10.9.9.9:8500"}
	settings := discovery.NewSettings(func(name string) (string, bool) { v, ok := environment[name]; return v, ok })
	file.Use(settings, "consul") // and then consul.FromEnv(settings), which asks for:

	settings.String("address", "127.0.0.1:8500", "CONSUL_HTTP_ADDR")
	settings.String("wait", "1m")
	settings.String("datacenter", "dc1")
	for _, s := range settings.All() {
		fmt.Println(s)
	}
	fmt.Println(settings.Err(), file.Err())

	_, err = discoveryfile.Parse("registry.yaml", []byte("consul:\n  address: [a, {b: c}]\n  address: d\n"))
	fmt.Println(err)
	// Output:
	// address = 10.9.9.9:8500 (CONSUL_HTTP_ADDR)
	// wait = 5m (registry.yaml:4:9)
	// datacenter = dc1 (default)
	// <nil> <nil>
	// registry.yaml:2:16: consul.address: must be a list of single values
	// registry.yaml:3:3: consul.address: must be there once, and is at 2:3 already
}

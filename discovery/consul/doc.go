// SPDX-License-Identifier: Apache-2.0

// Package consul registers instances in Consul and watches them there.
package consul

import (
	_ "github.com/hashicorp/consul/api"

	_ "github.com/fairlead-go/fairlead/discovery"
)

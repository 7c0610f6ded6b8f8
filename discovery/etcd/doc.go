// SPDX-License-Identifier: Apache-2.0

// Package etcd registers instances in etcd and watches them there.
package etcd

import (
	_ "go.etcd.io/etcd/client/v3"

	_ "github.com/fairlead-go/fairlead/discovery"
)

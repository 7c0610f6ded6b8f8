// SPDX-License-Identifier: Apache-2.0

// Package catalog is what the shop sells when it opens.
package catalog

import "github.com/fairlead-go/fairlead/examples/shop/internal/inventory"

// SoldOut is an article of which nothing is left.
const SoldOut = "teapot-cast-iron"

// plenty is more than any run of the shop sells.
const plenty = 10_000_000

// Articles returns all articles.
func Articles() []inventory.Article {
	return append(Common(), inventory.Article{SKU: SoldOut, UnitPriceCents: 8900})
}

// Common returns the articles of which there are always enough.
func Common() []inventory.Article {
	return []inventory.Article{
		{SKU: "tea-green", UnitPriceCents: 650, Available: plenty},
		{SKU: "tea-black", UnitPriceCents: 590, Available: plenty},
		{SKU: "mug-blue", UnitPriceCents: 1250, Available: plenty},
		{SKU: "mug-white", UnitPriceCents: 1150, Available: plenty},
		{SKU: "strainer", UnitPriceCents: 420, Available: plenty},
	}
}

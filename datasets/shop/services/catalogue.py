"""Products and their reviews, from PostgreSQL through a cache in Redis."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

import redis
from flask import jsonify, request
from flask.typing import ResponseReturnValue

from datasets.shop.services.runtime import BackgroundJob, Settings, create_app, open_cache, open_pool, serve, version

logger = logging.getLogger("shop.catalogue")

settings = Settings(recommendations_threads=1, recommendations_pause_s=20.0)
app = create_app("catalogue", settings)
pool = open_pool()
cache = open_cache()


def cached(key: str) -> Any:
    """Return the cached value, or None; a cache that fails is logged and passed by."""
    try:
        text = cache.get(key)
    except redis.RedisError as error:
        logger.warning("cache lookup of %s failed, reading the database instead: %s", key, error)
        return None
    return json.loads(str(text)) if text is not None else None


def remember(key: str, value: Any, seconds: int) -> None:
    """Put a value into the cache for a while."""
    try:
        cache.set(key, json.dumps(value), ex=seconds)
    except redis.RedisError as error:
        logger.warning("cache update of %s failed: %s", key, error)


def list_category(category: int) -> list[dict[str, Any]]:
    """Return the twelve most popular products of a category with their mean rating."""
    with pool.connection() as connection:
        rows = connection.execute(
            "SELECT id, sku, title, price_cents FROM products WHERE category = %s ORDER BY popularity DESC LIMIT 12",
            (category,),
        ).fetchall()
        ratings = dict(
            connection.execute(
                "SELECT product_id, round(avg(rating), 1)::float FROM reviews WHERE product_id = ANY(%s)"
                " GROUP BY product_id",
                ([row[0] for row in rows],),
            ).fetchall()
        )
    names = ("id", "sku", "title", "price_cents")
    return [{**dict(zip(names, row, strict=True)), "rating": ratings.get(row[0])} for row in rows]


def load_product(product_id: int) -> dict[str, Any] | None:
    """One product with its latest reviews, or None."""
    with pool.connection() as connection:
        row = connection.execute(
            "SELECT id, sku, title, price_cents, description FROM products WHERE id = %s", (product_id,)
        ).fetchone()
        if row is None:
            return None
        reviews = connection.execute(
            "SELECT rating, body FROM reviews WHERE product_id = %s ORDER BY id DESC LIMIT 3", (product_id,)
        ).fetchall()
    names = ("id", "sku", "title", "price_cents", "description")
    return {
        **dict(zip(names, row, strict=True)),
        "reviews": [{"rating": rating, "body": body} for rating, body in reviews],
        "promotions": [0.9] if product_id % 5 > 2 else [],
    }


def promotion_price(product: dict[str, Any]) -> int:
    """Return the price after the best promotion."""
    best = sorted(product["promotions"])[0]
    return int(product["price_cents"] * best)


@app.get("/products")
def products() -> ResponseReturnValue:
    """Answer with a page of a category."""
    category = request.args.get("category", 0, type=int)
    found = cached(f"category:{category}")
    if found is None:
        found = list_category(category)
        remember(f"category:{category}", found, 3)
        logger.info("category %d read from the database: %d products", category, len(found))
    return jsonify(products=found)


@app.get("/products/<int:product_id>")
def product(product_id: int) -> ResponseReturnValue:
    """One product."""
    found = cached(f"product:{product_id}")
    if found is None:
        found = load_product(product_id)
        if found is None:
            logger.warning("product %d does not exist", product_id)
            return jsonify(error="no such product"), 404
        remember(f"product:{product_id}", found, 10)
        logger.info("product %d loaded with %d reviews", product_id, len(found["reviews"]))
    if version() >= (2, 5, 0):
        found["price_cents"] = promotion_price(found)
    return jsonify(found)


def similarity(left: list[float], right: list[float]) -> float:
    """Cosine of the angle between two rating vectors."""
    dot = sum(a * b for a, b in zip(left, right, strict=True))
    return dot / math.sqrt(sum(a * a for a in left) * sum(b * b for b in right))


def recompute_recommendations() -> None:
    """Score products against each other for the 'others bought' strip."""
    vectors = [[float((i * j) % 7 + 1) for j in range(24)] for i in range(40)]
    for left in vectors:
        sorted(vectors, key=lambda right: -similarity(left, right))


def main() -> None:
    """Run the service."""
    BackgroundJob("recommendations", settings, recompute_recommendations)
    serve(app)

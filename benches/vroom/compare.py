"""Snapshots of a city, solved by VROOM and by the policy `routed`: what each serves, drives and costs in processor time.

Both get the same integers: travel times between all places, windows on both stops, services, capacities. Nobody
computes a distance. What each answers is checked here by the same few lines, and its travel is counted here.

    benches/vroom/run                      # everything
    benches/vroom/run --sizes 100x50 --seeds 1 2 3
"""

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import vroom

NEVER = 1 << 28


def snapshot(orders, drivers, seed):
    """A city of 10 by 10 km, shops in a few quarters, doors around them; times in seconds from now."""
    chance = random.Random(f"{orders} {drivers} {seed}")
    spread = lambda centre, sigma: tuple(min(max(chance.gauss(c, sigma), 0), 10_000) for c in centre)
    anywhere = lambda: (chance.uniform(0, 10_000), chance.uniform(0, 10_000))
    quarters = [anywhere() for _ in range(5)]
    shops = [spread(chance.choice(quarters), 700) for _ in range(max(10, orders // 6))]
    points = [anywhere() for _ in range(drivers)]
    # 20 km/h, 1.3 times the straight line.
    seconds = lambda a, b: math.ceil(math.dist(a, b) * 1.3 / 5.56)
    listed = []
    for n in range(orders):
        shop = chance.choice(shops)
        door = spread(shop, 1_800)
        # Each order has a place of its own at its shop, so that each pickup is served by itself, to both solvers.
        points += [shop, door]
        ready = chance.randrange(0, 40 * 60)
        listed.append({
            "pickup": drivers + 2 * n,
            "dropoff": drivers + 2 * n + 1,
            "ready": [ready, ready + 30 * 60],
            "due": [0, ready + 75 * 60],
            "pickup_service": 60,
            "dropoff_service": 120,
            "size": chance.choice([1, 1, 1, 2]),
        })
    return {
        "travel": [[seconds(a, b) for b in points] for a in points],
        "drivers": [{"place": d, "capacity": 4} for d in range(drivers)],
        "orders": listed,
    }


def by_vroom(snapshot, level):
    """Routes, and processor seconds of the solving alone."""
    problem = vroom.Input()
    problem.set_durations_matrix("car", snapshot["travel"])
    for n, driver in enumerate(snapshot["drivers"]):
        window = vroom.TimeWindow(0, NEVER)
        problem.add_vehicle(vroom.Vehicle(n, start=driver["place"], capacity=[driver["capacity"]], time_window=window))
    for n, order in enumerate(snapshot["orders"]):
        step = lambda place, service, window: vroom.ShipmentStep(
            n, place, default_service=service, time_windows=[vroom.TimeWindow(*window)]
        )
        pickup = step(order["pickup"], order["pickup_service"], order["ready"])
        dropoff = step(order["dropoff"], order["dropoff_service"], order["due"])
        problem.add_job(vroom.Shipment(pickup, dropoff, amount=[order["size"]]))
    started = time.process_time()
    solution = problem.solve(exploration_level=level, nb_threads=1)
    took = time.process_time() - started
    routes = [[] for _ in snapshot["drivers"]]
    for step in solution.routes.itertuples():
        if step.type in ("pickup", "delivery"):
            routes[step.vehicle_id].append([step.type == "pickup", int(step.id)])
    return routes, took


def by_routed(solver, path, arguments):
    answer = json.loads(subprocess.check_output([solver, path, *arguments]))
    return answer["routes"], answer["cpu_seconds"]


def score(snapshot, routes):
    """Orders served and seconds driven. Fails on a route that breaks a window, the capacity or the order of stops."""
    served, driven = set(), 0
    for driver, route in zip(snapshot["drivers"], routes, strict=True):
        place, at, aboard, load = driver["place"], 0, set(), 0
        for is_pickup, n in route:
            order = snapshot["orders"][n]
            stop = order["pickup" if is_pickup else "dropoff"]
            window = order["ready" if is_pickup else "due"]
            travel = snapshot["travel"][place][stop]
            driven += travel
            at = max(at + travel, window[0])
            assert at <= window[1], f"order {n} late"
            at += order["pickup_service" if is_pickup else "dropoff_service"]
            place = stop
            if is_pickup:
                assert n not in served and n not in aboard
                aboard.add(n)
                load += order["size"]
                assert load <= driver["capacity"], f"order {n} does not fit"
            else:
                aboard.remove(n)
                load -= order["size"]
                served.add(n)
        assert not aboard
    return len(served), driven


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solver", required=True, help="the example `snapshot` of posthaste-matching, built")
    parser.add_argument("--sizes", nargs="+", default=["100x50", "500x200"], metavar="ORDERSxDRIVERS")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--levels", nargs="+", type=int, default=[1], help="exploration levels of VROOM")
    parser.add_argument("--directory", default="target/vroom", help="where snapshots are kept")
    parser.add_argument("solver_arguments", nargs="*", help="after --: handed to our solver")
    args = parser.parse_args()
    directory = Path(args.directory)
    directory.mkdir(parents=True, exist_ok=True)
    row = "{:<12} {:<10} {:>9} {:>9} {:>9} {:>8} {:>8}"
    print(row.format("snapshot", "solver", "served", "travel s", "CPU s", "travel", "CPU"))
    ratios = {}
    all_served = True
    for size in args.sizes:
        orders, drivers = map(int, size.split("x"))
        for seed in args.seeds:
            problem = snapshot(orders, drivers, seed)
            path = directory / f"{size}-{seed}.json"
            path.write_text(json.dumps(problem))
            name = f"{size} #{seed}"
            peers = {f"VROOM -x{level}": by_vroom(problem, level) for level in args.levels}
            ours, our_cpu = by_routed(args.solver, path, args.solver_arguments)
            our_served, our_travel = score(problem, ours)
            print(row.format(name, "routed", f"{our_served}/{orders}", our_travel, f"{our_cpu:.3f}", "", ""))
            all_served &= our_served == orders
            for peer, (routes, cpu) in peers.items():
                served, travel = score(problem, routes)
                ratio = (our_travel / travel, our_cpu / cpu)
                ratios.setdefault((size, peer), []).append(ratio)
                print(row.format("", peer, f"{served}/{orders}", travel, f"{cpu:.3f}", f"{ratio[0]:.3f}",
                                 f"{ratio[1]:.3f}"))
            sys.stdout.flush()
    print("\nours over the peer's, mean (worst); wanted of VROOM -x1: everything served, travel at most 1.02, CPU at most 0.1")
    for (size, peer), pairs in ratios.items():
        travel, cpu = zip(*pairs)
        print(f"{size} {peer}: travel {statistics.mean(travel):.3f} ({max(travel):.3f}), "
              f"CPU {statistics.mean(cpu):.3f} ({max(cpu):.3f})")
    print("everything served" if all_served else "NOT everything served")


main()

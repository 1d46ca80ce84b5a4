"""What AWS asks for what a build has: list prices on demand in the United States, in USD.

Written down from public price lists and not compared with the Price List API. They change, and other regions
and contracts have others: an estimate, no offer.
"""

from typing import Final

AS_OF: Final = "2026-11"
HOURS: Final = 730  # of a month
SECONDS: Final = HOURS * 3600

# --- by what stands ready; per month unless it says otherwise ---
CAPACITY_UNIT_HOUR: Final = 0.12  # Aurora Serverless v2
NAT_GATEWAY_HOUR: Final = 0.045
PUBLIC_ADDRESS_HOUR: Final = 0.005
KEY: Final = 1.0
SECRET: Final = 0.40  # and each replica
ALARM_METRIC: Final = 0.10  # an alarm over an expression pays for each metric in it
FAST_ALARM_METRIC: Final = 0.30  # with a period below a minute
COMPOSITE_ALARM: Final = 0.50
DASHBOARD: Final = 3.0
WEB_ACL: Final = 5.0
WEB_ACL_RULE: Final = 1.0
PLAN: Final = 70.0  # of Region switch
HOSTED_ZONE: Final = 0.50
HEALTH_CHECK: Final = 0.50 + 1.0 + 1.0  # with HTTPS, and every ten seconds
FUNCTION_GB_SECOND: Final = 0.0000133334  # arm64

# --- by use ---
STORED_GB: Final = 0.10  # of Aurora, in each region
DATABASE_IO: Final = 0.20e-6
API_REQUEST: Final = 3.50e-6
WEB_ACL_REQUEST: Final = 0.60e-6
FUNCTION_REQUEST: Final = 0.20e-6
TABLE_WRITE: Final = 0.625e-6  # of 1 KB, in each region
TABLE_READ: Final = 0.125e-6  # of 4 KB
TABLE_GB: Final = 0.25
LOGGED_GB: Final = 0.50
BETWEEN_REGIONS_GB: Final = 0.01
BACKUP_GB: Final = 0.021  # of copies from the other region

# --- what a payment takes, by what the code does; counted, where a bench counts it ---
WRITES_OF_A_PAYMENT: Final = 4  # journal, its index and its settling
READS_OF_A_PAYMENT: Final = 1.05  # session; directory and control now and then
SECONDS_OF_A_PAYMENT: Final = 0.1
IO_OF_A_PAYMENT: Final = 10
LOGGED_BYTES_OF_A_PAYMENT: Final = 3000
BETWEEN_REGIONS_BYTES_OF_A_PAYMENT: Final = 8000
BYTES_OF_A_PAYMENT: Final = 1000  # in a table, for ever

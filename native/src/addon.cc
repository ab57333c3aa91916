#include <node_api.h>
#include <iscsi/iscsi.h>
NAPI_MODULE_INIT() { (void)env; return exports; }

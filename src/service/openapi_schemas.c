/* What routes take and give, for openapi.c: JSON with ' in the place of ". */
#include "service/openapi.h"

/* Members may be added to what is given, so no schema forbids others. */
const struct openapi_schema openapi_schemas[] = {
    {"Error",
     "{'type':'object','required':['error'],'properties':{'error':{'type':'object',"
     "'required':['code','message'],'properties':{'code':{'type':'string'},"
     "'message':{'type':'string'},'field':{'type':'string'}}}}}"                                  },
    {"A1111Error",
     "{'type':'object','required':['error','detail','body','errors','message'],"
     "'properties':{'error':{'type':'string'},'detail':{'type':'string'},"
     "'body':{'type':'string'},'errors':{'type':'string'},"
     "'message':{'type':'string'}}}"                                                              },
    {"OpenAIError",
     "{'type':'object','required':['error'],'properties':{'error':{"
     "'type':'object','required':['message','type','param','code'],"
     "'properties':{'message':{'type':'string'},'type':{'type':'string'},"
     "'param':{'type':'string','nullable':true},"
     "'code':{'type':'string','nullable':true}}}}}"                                               },
    {"Picture",         "{'type':'string','format':'binary'}"                                     },
    {"Events",          "{'type':'string'}"                                                       },
    {"Text",            "{'type':'string'}"                                                       },
    {"Page",            "{'type':'string'}"                                                       },
    {"Description",     "{'type':'object','required':['openapi','paths']}"                        },
    {"Health",          "{'type':'object','required':['status'],'properties':{"
               "'status':{'type':'string'}}}"                                       },

 /* ---- A1111: types are loose, so that only what fields mean is said ---- */
    {"Txt2Img",         "{'type':'object','properties':{"
                "'prompt':{'type':'string','nullable':true},"
                "'negative_prompt':{'type':'string','nullable':true},"
                "'seed':{'description':'-1: any','nullable':true},"
                "'steps':{'nullable':true},'cfg_scale':{'nullable':true},"
                "'width':{'nullable':true},'height':{'nullable':true},"
                "'batch_size':{'nullable':true},'n_iter':{'nullable':true},"
                "'sampler_name':{'type':'string','nullable':true},"
                "'scheduler':{'type':'string','nullable':true},"
                "'override_settings':{'type':'object','nullable':true},"
                "'send_images':{'nullable':true},'save_images':{'nullable':true}}}"},
    {"Img2Img",         "{'type':'object','required':['init_images'],'properties':{"
                "'init_images':{'type':'array','items':{'type':'string'},"
                "'description':'base64 or data: URLs'},"
                "'denoising_strength':{'nullable':true},"
                "'prompt':{'type':'string','nullable':true},"
                "'negative_prompt':{'type':'string','nullable':true},"
                "'seed':{'description':'-1: any','nullable':true},"
                "'steps':{'nullable':true},'cfg_scale':{'nullable':true},"
                "'width':{'nullable':true},'height':{'nullable':true},"
                "'sampler_name':{'type':'string','nullable':true},"
                "'scheduler':{'type':'string','nullable':true}}}"                  },
    {"A1111Pictures",
     "{'type':'object','required':['images','parameters','info'],'properties':{"
     "'images':{'type':'array','items':{'type':'string'}},"
     "'parameters':{'type':'object'},'info':{'type':'string'}}}"                                  },
    {"A1111Progress",
     "{'type':'object','required':['progress','eta_relative','state','current_image'],"
     "'properties':{'progress':{'type':'number'},'eta_relative':{'type':'number'},"
     "'state':{'type':'object'},"
     "'current_image':{'type':'string','nullable':true}}}"                                        },

 /* ---- OpenAI ---- */
    {"ImageGeneration",
     "{'type':'object','required':['prompt'],'properties':{"
     "'prompt':{'type':'string','minLength':1},"
     "'model':{'type':'string','nullable':true},"
     "'n':{'type':'integer','minimum':1,'maximum':10,'nullable':true},"
     "'size':{'type':'string','nullable':true,'description':'WIDTHxHEIGHT or auto'},"
     "'response_format':{'type':'string','nullable':true,'enum':['b64_json','url',null]},"
     "'output_format':{'type':'string','nullable':true,'enum':['png','jpeg',null]},"
     "'output_compression':{'type':'integer','minimum':0,'maximum':100,'nullable':true},"
     "'stream':{'type':'boolean','nullable':true},"
     "'partial_images':{'type':'integer','minimum':0,'maximum':3,'nullable':true},"
     "'negative_prompt':{'type':'string'},'seed':{'type':'integer'},"
     "'steps':{'type':'integer','minimum':1},'cfg_scale':{'type':'number','minimum':0},"
     "'keep_on_disconnect':{'type':'boolean'}}}"                                                  },
    {"ImageList",       "{'type':'object','required':['created','data'],'properties':{"
                  "'created':{'type':'integer'},'size':{'type':'string'},"
                  "'output_format':{'type':'string'},'data':{'type':'array','items':{"
                  "'type':'object','properties':{'b64_json':{'type':'string'},"
                  "'url':{'type':'string'}}}}}}"                                 },
    {"Model",           "{'type':'object','required':['id','object','created','owned_by'],"
              "'properties':{'id':{'type':'string'},'object':{'type':'string'},"
              "'created':{'type':'integer'},'owned_by':{'type':'string'}}}"          },
    {"ModelList",       "{'type':'object','required':['object','data'],'properties':{"
                  "'object':{'type':'string'},'data':{'type':'array','items':{"
                  "'$ref':'#/components/schemas/Model'}}}}"                      },
    {NULL,              NULL                                                                      },
};

const struct openapi_query openapi_queries[] = {
    {NULL, NULL, NULL, NULL},
};

const struct openapi_success openapi_successes[] = {
    {HTTP_OTHER, NULL, NULL},
};
